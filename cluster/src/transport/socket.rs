//! Options of a socket between nodes.

use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

/// What was sent and is not acknowledged within this time ends the connection.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);
/// Silence before the kernel asks whether the other end is there.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Makes a socket notice a dead peer, and send at once what it is given.
pub(super) fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let unacknowledged = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(socket, Duration::from_secs(1))?;
    sockopt::set_tcp_keepcnt(socket, 3)?;
    sockopt::set_tcp_user_timeout(socket, unacknowledged)?;
    Ok(())
}

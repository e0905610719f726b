//! Who has dialed, by the process that its end of the connection belongs to: of what is said over TLS nobody else
//! understands a word.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

/// What a node is told its address by.
const ADVERTISE: &str = "HEADGATE__CLUSTER__ADVERTISE=";
/// Where the kernel says which sockets there are.
const SOCKETS: &str = "/proc/net/tcp";

/// The address that whoever dialed `to` from `from` advertises, empty of a process that was told none; none where no such
/// process is found, as it may happen once to any.
pub fn advertised(from: SocketAddr, to: SocketAddr) -> Option<String> {
    let sockets = fs::read_to_string(SOCKETS).expect("the kernel's sockets");
    let inode = sockets.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let ends = [words.next()?, words.next()?].map(end);
        // Behind the two: its state, queues, timer, losses, owner and timeouts.
        let is_it = ends == [Some(from), Some(to)];
        is_it.then(|| words.nth(6)).flatten()
    })?;
    let socket = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").expect("processes");
    let processes = processes.flatten().map(|process| process.path());
    // Most are no nodes, and have more open.
    let (nodes, others): (Vec<_>, Vec<_>) = processes
        .map(|process| (told(&process), process))
        .partition(|(told, _)| told.is_some());
    let mut all = nodes.into_iter().chain(others);
    let (told, _) = all.find(|(_, process)| has(process, &socket))?;
    Some(told.unwrap_or_default())
}

/// An end of a socket as the kernel shows it: both numbers in hexadecimal, the address as it lies in memory.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let address = u32::from_str_radix(address, 16).ok()?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let address = Ipv4Addr::from(address.to_ne_bytes());
    Some(SocketAddrV4::new(address, port).into())
}

/// What a process, if it is one, was told to advertise.
fn told(process: &Path) -> Option<String> {
    let environment = fs::read(process.join("environ")).ok()?;
    let environment = String::from_utf8_lossy(&environment);
    let mut variables = environment.split('\0');
    variables
        .find_map(|variable| variable.strip_prefix(ADVERTISE))
        .map(str::to_owned)
}

fn has(process: &Path, socket: &str) -> bool {
    let open = fs::read_dir(process.join("fd")).into_iter().flatten();
    let mut leads = open.flatten().flat_map(|file| fs::read_link(file.path()));
    leads.any(|leads| leads == Path::new(socket))
}

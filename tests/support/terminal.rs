//! A terminal, for programs that look whether a person sits at one.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A person's end, and the one that a program gets.
pub fn open() -> (File, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let person: OwnedFd = openpt(flags).expect("a terminal");
    grantpt(&person).expect("a terminal");
    unlockpt(&person).expect("a terminal");
    let size = Winsize {
        ws_row: 40,
        ws_col: 120,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&person, size).expect("a size");
    let other = ptsname(&person, Vec::new()).expect("a terminal");
    let program = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(rustix::fs::OFlags::NOCTTY.bits().cast_signed())
        .open(other.to_str().expect("a path"))
        .expect("a terminal");
    (person.into(), program)
}

/// All that comes from there, as it comes, on a thread of its own that ends with it.
pub fn heard(mut from: impl std::io::Read + Send + 'static) -> Arc<Mutex<String>> {
    let heard = Arc::default();
    let all: Arc<Mutex<String>> = Arc::clone(&heard);
    std::thread::spawn(move || {
        let mut bytes = [0; 256];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..read]);
            all.lock().expect("not poisoned").push_str(&text);
        }
    });
    heard
}

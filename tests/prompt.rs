//! `headgate user add` at a terminal: the password is asked for, twice, and not shown.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::eventually;
use crate::support::node::Node;
use crate::support::terminal;

/// `headgate user add` with a terminal as its standard input.
struct Typist {
    terminal: File,
    child: Child,
    prompts: Arc<Mutex<String>>,
}

impl Typist {
    fn add(node: &Node, name: &str) -> Self {
        let (terminal, other) = terminal::open();
        let mut child = node
            .command(&["user", "add", name])
            .stdin(Stdio::from(other))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary");
        let said = child.stderr.take().expect("standard error");
        let prompts = terminal::heard(said);
        Self {
            terminal,
            child,
            prompts,
        }
    }

    /// Types a line once it was asked for so often.
    async fn answer(&mut self, prompt: &str, times: usize, line: &str) {
        eventually(30, prompt, || async {
            let said = self.prompts.lock().expect("not poisoned");
            (said.matches(prompt).count() == times).then_some(())
        })
        .await;
        self.terminal.write_all(line.as_bytes()).expect("typed");
        self.terminal.write_all(b"\n").expect("typed");
    }

    /// Its exit code, what it printed and what the terminal showed.
    fn end(mut self) -> (Option<i32>, String, String) {
        let status = self.child.wait().expect("its end");
        let mut printed = String::new();
        let mut stdout = self.child.stdout.take().expect("standard output");
        stdout.read_to_string(&mut printed).expect("text");
        // A terminal that nobody has open any more ends with an error.
        let mut shown = Vec::new();
        let _ = self.terminal.read_to_end(&mut shown);
        let shown = String::from_utf8_lossy(&shown).into_owned();
        (status.code(), printed, shown)
    }
}

const FIRST: &str = "password for";
const AGAIN: &str = "the same again";

#[tokio::test]
async fn a_password_is_typed_twice_and_neither_shown_nor_printed() {
    let node = Node::start().await;
    let mut typist = Typist::add(&node, "kim");
    typist.answer(FIRST, 1, "Open-sesame-1").await;
    typist.answer(AGAIN, 1, "Open-sesame-2").await;
    typist.answer(FIRST, 2, "Open-sesame-1").await;
    typist.answer(AGAIN, 2, "Open-sesame-1").await;
    let (code, printed, shown) = typist.end();
    assert_eq!(code, Some(0));
    assert!(printed.contains("added kim"), "{printed}");
    assert!(
        !printed.contains("sesame") && !shown.contains("sesame"),
        "{shown}"
    );
    node.user_token("kim", "Open-sesame-1", "").await;
}

#[tokio::test]
async fn an_empty_answer_makes_a_password_and_prints_it_once() {
    let node = Node::start().await;
    let mut typist = Typist::add(&node, "lou");
    typist.answer(FIRST, 1, "").await;
    let (code, printed, _) = typist.end();
    assert_eq!(code, Some(0));
    let (_, password) = printed.split_once("shown this once: ").expect("a password");
    node.user_token("lou", password.trim(), "").await;
}

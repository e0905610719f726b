//! A small reader of Rust text: identifiers, string literals and punctuation with their lines, without comments.
//!
//! The rules read tokens, never lines, so that a comment or a string that only speaks of `todo!` breaks no rule.
//! It does not judge the text; what does not compile is the compiler's matter.

use std::iter::Peekable;
use std::str::Chars;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or keyword; a raw one without `r#`.
    Ident,
    /// A string literal of any sort; its text is the content.
    Text,
    /// One character of punctuation.
    Punct,
    /// A number, character or lifetime.
    Other,
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its text.
    pub(crate) text: String,
    /// Its line, from 1.
    pub(crate) line: usize,
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    found: Vec<Token>,
}

/// The tokens of a file.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader {
        rest: text.chars().peekable(),
        line: 1,
        found: Vec::new(),
    };
    reader.read();
    reader.found
}

// === impl Token ===

impl Token {
    /// Whether it is this identifier.
    pub(crate) fn is_ident(&self, text: &str) -> bool {
        self.kind == Kind::Ident && self.text == text
    }

    /// Whether it is this character of punctuation.
    pub(crate) fn is_punct(&self, sign: char) -> bool {
        self.kind == Kind::Punct && self.text.starts_with(sign)
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(sign) = self.next() {
            let line = self.line;
            match sign {
                '/' if self.peek() == Some('/') => self.skip_line(),
                '/' if self.peek() == Some('*') => self.skip_block(),
                '"' => self.string(line),
                '\'' => self.quote(line),
                _ if sign.is_alphabetic() || sign == '_' => self.word(sign, line),
                _ if sign.is_ascii_digit() => self.number(sign, line),
                _ if sign.is_whitespace() => {}
                _ => self.push(Kind::Punct, sign.to_string(), line),
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let sign = self.rest.next()?;
        self.line += usize::from(sign == '\n');
        Some(sign)
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    fn push(&mut self, kind: Kind, text: String, line: usize) {
        self.found.push(Token { kind, text, line });
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|sign| sign != '\n') {
            self.next();
        }
    }

    /// Block comments nest.
    fn skip_block(&mut self) {
        let (mut depth, mut before) = (1, '*');
        self.next();
        while depth > 0 {
            let Some(sign) = self.next() else { return };
            match (before, sign) {
                ('/', '*') => (depth, before) = (depth + 1, ' '),
                ('*', '/') => (depth, before) = (depth - 1, ' '),
                _ => before = sign,
            }
        }
    }

    fn word(&mut self, first: char, line: usize) {
        let mut word = String::from(first);
        while let Some(sign) = self
            .peek()
            .filter(|sign| sign.is_alphanumeric() || *sign == '_')
        {
            word.push(sign);
            self.next();
        }
        match (word.as_str(), self.peek()) {
            ("b" | "c", Some('"')) => {
                self.next();
                self.string(line);
            }
            ("r" | "br" | "cr", Some('"' | '#')) => self.raw(word, line),
            _ => self.push(Kind::Ident, word, line),
        }
    }

    fn number(&mut self, first: char, line: usize) {
        let mut text = String::from(first);
        while let Some(sign) = self.peek() {
            let mut ahead = self.rest.clone();
            ahead.next();
            let fraction = sign == '.' && ahead.peek().is_some_and(char::is_ascii_digit);
            if !(sign.is_alphanumeric() || sign == '_' || fraction) {
                break;
            }
            text.push(sign);
            self.next();
        }
        self.push(Kind::Other, text, line);
    }

    /// After `"`: up to the closing one, escapes resolved as far as the rules need.
    fn string(&mut self, line: usize) {
        let mut text = String::new();
        while let Some(sign) = self.next() {
            match sign {
                '"' => break,
                '\\' => match self.next() {
                    Some('\n') => {
                        while self.peek().is_some_and(char::is_whitespace) {
                            self.next();
                        }
                    }
                    Some('n') => text.push('\n'),
                    Some(escaped) => text.push(escaped),
                    None => break,
                },
                _ => text.push(sign),
            }
        }
        self.push(Kind::Text, text, line);
    }

    /// After `r`: a raw string with its hashes, or a raw identifier.
    fn raw(&mut self, prefix: String, line: usize) {
        let mut hashes = 0;
        while self.peek() == Some('#') {
            self.next();
            hashes += 1;
        }
        if self.peek() != Some('"') {
            match self.next() {
                Some(first) if hashes == 1 => self.word(first, line),
                _ => self.push(Kind::Ident, prefix, line),
            }
            return;
        }
        self.next();
        let end = format!("\"{}", "#".repeat(hashes));
        let mut text = String::new();
        while let Some(sign) = self.next() {
            text.push(sign);
            if text.ends_with(&end) {
                text.truncate(text.len() - end.len());
                break;
            }
        }
        self.push(Kind::Text, text, line);
    }

    /// After `'`: a character or a lifetime.
    fn quote(&mut self, line: usize) {
        let Some(first) = self.next() else { return };
        let mut text = String::from(first);
        if first == '\\' {
            text.extend(self.next());
            while let Some(sign) = self.next().filter(|sign| *sign != '\'') {
                text.push(sign);
            }
        } else if self.peek() == Some('\'') {
            self.next();
        } else {
            while let Some(sign) = self
                .peek()
                .filter(|sign| sign.is_alphanumeric() || *sign == '_')
            {
                text.push(sign);
                self.next();
            }
        }
        self.push(Kind::Other, text, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let mark = |token: &Token| match token.kind {
            Kind::Ident => format!("i:{}", token.text),
            Kind::Text => format!("t:{}", token.text),
            Kind::Punct => token.text.clone(),
            Kind::Other => format!("o:{}", token.text),
        };
        tokens(text).iter().map(mark).collect()
    }

    #[test]
    fn comments_are_not_read() {
        assert_eq!(
            shown("a // todo!()\n/* b /* c */ \"d */ e /**/ f"),
            ["i:a", "i:e", "i:f"]
        );
    }

    #[test]
    fn strings_of_every_sort_are_one_token() {
        assert_eq!(
            shown(r##""a\"b" r#"c"d"# b"e" br"f\" c"g" "##),
            ["t:a\"b", "t:c\"d", "t:e", "t:f\\", "t:g"]
        );
        assert_eq!(shown("\"a \\\n   b\""), ["t:a b"]);
    }

    #[test]
    fn lifetimes_do_not_open_a_character() {
        assert_eq!(
            shown("&'a str 'x' '\\'' '\"' b'z'"),
            ["&", "o:a", "i:str", "o:x", "o:\\'", "o:\"", "i:b", "o:z"]
        );
    }

    #[test]
    fn numbers_and_raw_identifiers_end_where_they_end() {
        assert_eq!(
            shown("1.5 1..2 0x_ff r#type"),
            ["o:1.5", "o:1", ".", ".", "o:2", "o:0x_ff", "i:type"]
        );
    }

    #[test]
    fn lines_are_counted_inside_strings_and_comments() {
        let found = tokens("\"a\nb\"\n/*\n*/ c");
        assert_eq!(
            found.iter().map(|token| token.line).collect::<Vec<_>>(),
            [1, 4]
        );
    }
}

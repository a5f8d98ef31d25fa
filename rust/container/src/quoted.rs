//! Quoting text in messages, as Python does.

use std::fmt::Write;

/// Quote a string like Python's `repr`. Anything that a terminal would not show as a separate
/// character is escaped.
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for letter in text.chars() {
        let code = u32::from(letter);
        // Writing to a string cannot fail.
        let _ = match letter {
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            _ if letter == quote => write!(out, "\\{quote}"),
            _ if is_shown(letter) => out.write_char(letter),
            _ if code < 0x100 => write!(out, "\\x{code:02x}"),
            _ if code < 0x1_0000 => write!(out, "\\u{code:04x}"),
            _ => write!(out, "\\U{code:08x}"),
        };
    }
    out.push(quote);
    out
}

/// Whether a character is shown unescaped. It is tested after a letter, because the standard
/// library escapes an accent that stands alone.
fn is_shown(letter: char) -> bool {
    matches!(letter, '\'' | '"') || String::from_iter(['a', letter]).escape_debug().eq(['a', letter])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_written_as_python_writes_them() {
        for (text, expected) in [
            ("", "''"),
            ("german", "'german'"),
            ("it's", "\"it's\""),
            ("\"", "'\"'"),
            ("'\"", "'\\'\"'"),
            ("a\\b\n\r\t\0\u{1b}\u{7f}", "'a\\\\b\\n\\r\\t\\x00\\x1b\\x7f'"),
            ("é e\u{301} 猫 😀", "'é e\u{301} 猫 😀'"),
            ("\u{a0}\u{200e}\u{2028}\u{e000}\u{e0001}", "'\\xa0\\u200e\\u2028\\ue000\\U000e0001'"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}

//! Text within the width of a terminal, folded at blanks.

use unicode_width::UnicodeWidthChar as _;

/// Units that stay with the number before them.
const UNITS: [&str; 12] =
    ["%", "kB", "MB", "GB", "KiB", "MiB", "bytes", "bits", "bit", "dB", "s", "min"];

/// Columns that a text takes on a terminal: two for a wide character, none for a combining one.
///
/// ```
/// assert_eq!(fixedwise::text_width("畳み込み conv"), 13);
/// ```
pub fn text_width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Columns of one character.
pub(crate) fn char_width(c: char) -> usize {
    // What nearly every text consists of needs no table.
    if matches!(c, ' '..='~' | '…') { 1 } else { c.width().unwrap_or(0) }
}

/// `text` in lines of at most `columns` columns, folded at blanks; every line after the first begins with
/// `indent`. A word that is longer than that, such as a path, stays whole on a line of its own.
///
/// ```
/// let lines = fixedwise::folded("a loss of 0.47 % on 5,000 images", 16, "  ");
/// assert_eq!(lines, ["a loss of 0.47 %", "  on 5,000", "  images"]);
/// ```
pub fn folded(text: &str, columns: usize, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line: Option<String> = None;
    for word in words(text) {
        line = Some(match line {
            None => word,
            Some(begun) => {
                let joined = format!("{begun} {word}");
                if text_width(&joined) <= columns || begun.trim().is_empty() && lines.is_empty() {
                    joined
                } else if word.is_empty() {
                    begun
                } else {
                    lines.push(begun.trim_end().to_owned());
                    format!("{indent}{word}")
                }
            }
        });
    }
    lines.extend(line);
    lines
}

/// The words between blanks, a number together with its unit.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let is_unit = UNITS.contains(&word.trim_end_matches([',', ';', ':', '.', ')']));
        match words.last_mut() {
            Some(before) if is_unit && before.ends_with(|c: char| c.is_ascii_digit()) => {
                before.push(' ');
                before.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_end_at_words() {
        let text = "  four words and more";
        assert_eq!(folded(text, 12, "    "), ["  four words", "    and more"]);
        assert_eq!(folded(text, 80, "    "), [text]);
        assert_eq!(folded("", 80, "  "), [""]);
        let path = "written: a/very/long/path/plan.toml, b";
        assert_eq!(folded(path, 10, "  "), ["written:", "  a/very/long/path/plan.toml,", "  b"]);
        assert_eq!(folded("name  about it", 11, "  "), ["name  about", "  it"]);
        assert_eq!(folded("name  about it", 6, "  "), ["name", "  about", "  it"]);
    }

    #[test]
    fn a_number_keeps_its_unit() {
        assert_eq!(folded("from 0.1 % to 0.9 %, 12 kB", 13, ""), ["from 0.1 % to", "0.9 %, 12 kB"]);
        assert_eq!(folded("(0.1 to 0.9 %)", 12, ""), ["(0.1 to", "0.9 %)"]);
    }

    #[test]
    fn a_wide_character_takes_two_columns() {
        assert_eq!(
            [text_width("conv"), text_width("畳み込み"), text_width("e\u{301}"), text_width("…✓█")],
            [4, 8, 1, 3]
        );
        assert_eq!(folded("畳み 込み", 8, ""), ["畳み", "込み"]);
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_no_line_is_too_wide(
            text in "[a-c畳é%0-9 ]{0,60}",
            columns in 1_usize..40,
        ) {
            let lines = folded(&text, columns, "  ");
            let all = lines.join(" ");
            let kept: Vec<&str> = all.split_whitespace().collect();
            prop_assert_eq!(kept, text.split_whitespace().collect::<Vec<_>>());
            for line in lines {
                let is_one_word = words(line.trim()).len() == 1;
                prop_assert!(text_width(&line) <= columns || is_one_word, "{line:?}");
            }
        }
    }
}

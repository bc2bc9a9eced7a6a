//! A report holds everything that the terminal shows, so that a page can show it too.

use fixedwise::{
    RunResult, TextOptions,
    report::{Align, Cell, Mark, Part, Section, Sentence, Style},
    sections, summary,
};
use std::{collections::BTreeSet, fmt::Write as _};

/// A run with every kind of statement: no budget is met, something is named as the remedy.
fn result() -> RunResult {
    let text = r#"{
        "schema": 1, "tool": "fixedwise", "strategy": "pareto", "semantics": "integer", "seed": 0,
        "model": {"name": "net", "sha256": "", "parameters": 1234, "macs": 5678900},
        "max_loss": {"value": 0.01, "kind": "relative"}, "confidence": null,
        "bound_met": true, "ended": "time_budget",
        "images": {"calibration": 100, "search": 1000, "test": 0},
        "accuracy": {"search": {
            "n": 1000, "float": 0.9, "fixed": 0.895, "float_correct": 900, "fixed_correct": 895,
            "relative_loss": 0.0056, "lost": 7, "gained": 2, "interval95": [0.001, 0.0101]
        }, "test": null},
        "memory_bits": {
            "weights": 80000, "biases": 1600, "activations": 40000, "total": 121600,
            "uniform8_total": 200000, "reduction": 0.392
        },
        "multiplication_cost": {
            "paper": 30, "paper_uniform8": 64, "paper_reduction": 0.53,
            "operand": 31, "operand_uniform8": 65, "operand_reduction": 0.52
        },
        "target": "cortex-m0", "flash_bytes": 12345, "peak_ram_bytes": 34567, "io_bytes": 794,
        "budgets": [{
            "memory": "ram", "limit_bytes": 20480, "bytes": 34567, "is_met": false,
            "least_bytes": 30000, "holders": [{"name": "conv<1>", "bytes": 21632}],
            "steps": [{
                "name": "conv<1>", "kind": "activations", "bits": 12, "next_bits": 8,
                "saved_bytes": 10816, "was_tried": true, "loss": 0.0183
            }]
        }],
        "layers": [{
            "name": "conv<1>", "op": "Conv", "output_shape": [26, 26, 32], "macs": 194688,
            "accumulator_bits": 19, "coarser": [0, 1],
            "weights": {"bits": 5, "frac": 4, "signed": true, "count": 288},
            "bias": {"bits": 32, "frac": 4, "signed": true, "count": 32},
            "activation": {"bits": 7, "frac": 2, "signed": false, "count": 21632}
        }],
        "others": [{
            "name": "sum", "op": "Add",
            "activation": {"bits": 6, "frac": 1, "signed": true, "count": 21632}
        }],
        "explanation": {
            "divergence": 0.02,
            "shares": [{
                "name": "conv<1>", "weights": 0.01, "bias": 0.0, "clipping": 0.002,
                "rounding": 0.005, "alignment": 0.0
            }],
            "remedy": {
                "name": "conv<1>", "kind": "weights", "bits": [5, 6], "divergence": 0.004,
                "memory_bits": 288
            }
        },
        "evaluations": 77, "images_evaluated": 88000, "seconds": 9.5
    }"#;
    RunResult::from_json(text).unwrap()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn html_of(sentence: &Sentence) -> String {
    let part = |part: &Part| match part {
        Part::Words(words) => escaped(words),
        Part::Name(name) => format!("<code>{}</code>", escaped(name)),
    };
    sentence.0.iter().map(part).collect()
}

fn html_of_cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(words) => html_of(words),
        Cell::Name(name) => format!("<code>{}</code>", escaped(name)),
        Cell::Number { value, unit } => format!("<b>{value}</b> <i>{unit}</i>"),
        Cell::Bits(bits) => format!("<meter max=16 value={bits}></meter>"),
    }
}

/// What a page would show.
fn html(sections: &[Section]) -> String {
    let mut page = String::new();
    for section in sections {
        writeln!(page, "<h2>{}</h2>", escaped(&section.title)).unwrap();
        section.about.iter().for_each(|about| writeln!(page, "<p>{}", html_of(about)).unwrap());
        if let Some(table) = &section.table {
            page.push_str("<table>\n<tr>");
            for column in &table.columns {
                let align = if column.align == Align::Right { "right" } else { "left" };
                let style = match column.style {
                    Style::Plain => "plain",
                    Style::Bold => "bold",
                    Style::Dim => "dim",
                    Style::Good => "good",
                    Style::Bad => "bad",
                    Style::Weights => "weights",
                    Style::Activations => "activations",
                };
                write!(page, "<th class='{align} {style}'>{}</th>", escaped(column.title)).unwrap();
            }
            for row in &table.rows {
                assert_eq!(row.len(), table.columns.len());
                page.push_str("\n<tr>");
                row.iter()
                    .for_each(|cell| write!(page, "<td>{}</td>", html_of_cell(cell)).unwrap());
            }
            page.push_str("\n</table>\n");
        }
        for statement in &section.statements {
            let class = match statement.mark {
                Some(Mark::Good) => "good",
                Some(Mark::Bad) => "bad",
                Some(Mark::Attention) => "attention",
                None => "remark",
            };
            writeln!(page, "<p class={class}>{}", html_of(&statement.text)).unwrap();
            statement.details.iter().for_each(|it| writeln!(page, "<li>{}", html_of(it)).unwrap());
        }
        section.notes.iter().for_each(|note| writeln!(page, "<small>{}", html_of(note)).unwrap());
    }
    page
}

/// The words of a page.
fn words(html: &str) -> String {
    let spaced = html.replace("</td>", " ").replace("</th>", " ");
    let pieces =
        spaced.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    pieces.collect::<String>().replace("&lt;", "<").replace("&amp;", "&")
}

#[test]
fn a_page_shows_what_the_terminal_shows() {
    let result = result();
    let page = html(&sections(&result, false));
    let on_page = words(&page);
    let on_page: BTreeSet<&str> = on_page.split_whitespace().collect();
    let text = summary(&result, &TextOptions::default());
    let is_drawn = |word: &str| word.chars().all(|c| "█▌✓✗!".contains(c));
    let missing: Vec<&str> =
        text.split_whitespace().filter(|word| !is_drawn(word) && !on_page.contains(word)).collect();
    assert!(missing.is_empty(), "{missing:?}\n{page}");
    for (mark, class, expected) in [("✓", "good", 1), ("✗", "bad", 1), ("!", "attention", 2)] {
        let in_text = text.lines().filter(|line| line.starts_with(mark)).count();
        let on_page = page.matches(&format!("<p class={class}>")).count();
        assert_eq!((in_text, on_page), (expected, expected), "{mark}\n{text}");
    }
    assert_eq!(page.matches("<meter").count(), 3, "a bar for each width");
    assert!(!page.contains('\x1b'), "{page}");
}

#[test]
fn a_page_has_whole_names() {
    let mut result = result();
    let name = "model/block_17/separable_convolution_with_a_very_long_name/Conv2D";
    name.clone_into(&mut result.layers[0].name);
    name.clone_into(&mut result.budgets[0].holders[0].name);
    let text = summary(&result, &TextOptions::default());
    assert!(!text.contains(name) && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert_eq!(html(&sections(&result, false)).matches(name).count(), 2);
}

//! Bytes of Thumb-2 assembly: of the instructions that the kernels are written in, and no others.

use std::collections::BTreeMap;

/// Bytes of the statements of a function: string literals in C, instructions separated by `;` or `\n`.
///
/// # Panics
/// Where a branch has no label: our own code is broken.
pub(crate) fn bytes(statements: &str) -> usize {
    let lines = lines(statements);
    let (mut instructions, mut labels) = (Vec::new(), BTreeMap::new());
    repeat(&lines, &mut instructions, &mut labels);
    let mut sizes: Vec<usize> = instructions.iter().map(|line| width(line)).collect();
    // A branch is short until its label proves to be out of reach.
    loop {
        let starts: Vec<usize> = sizes
            .iter()
            .scan(0, |at, size| {
                *at += size;
                Some(*at - size)
            })
            .chain([sizes.iter().sum()])
            .collect();
        let far = |i: usize| {
            let Some((reach, target)) = branch(instructions[i]) else { return false };
            let (label, is_back) = target.split_at(target.len() - 1);
            let places: &Vec<usize> = labels.get(label).expect("a branch has its label");
            let place = if is_back == "b" {
                places.iter().rev().find(|&&place| place <= i)
            } else {
                places.iter().find(|&&place| place > i)
            };
            let from = starts[i] + 4;
            let to = starts[*place.expect("a branch has its label")];
            sizes[i] == 2 && (to + reach < from || to > from + reach - 2)
        };
        let grown: Vec<usize> = (0..sizes.len()).filter(|&i| far(i)).collect();
        if grown.is_empty() {
            return sizes.iter().sum();
        }
        grown.into_iter().for_each(|i| sizes[i] = 4);
    }
}

/// How many instructions a call of the same executes: `turns` says how often the loop runs that begins with a label.
/// A loop ends with the first branch back to its label. Instructions whose condition does not hold count too.
pub(crate) fn executed(statements: &str, turns: &[(&str, usize)]) -> usize {
    let lines = lines(statements);
    let (mut instructions, mut labels) = (Vec::new(), BTreeMap::new());
    repeat(&lines, &mut instructions, &mut labels);
    let mut times = vec![1; instructions.len()];
    for (label, turns) in turns {
        for &from in labels.get(label).into_iter().flatten() {
            let goes_back = |line: &&str| {
                let to = line.rsplit([' ', ',']).next().and_then(|to| to.strip_suffix('b'));
                (line.starts_with('b') || line.starts_with("letp")) && to == Some(label)
            };
            let Some(length) = instructions[from..].iter().position(goes_back) else { continue };
            times[from..=from + length].iter_mut().for_each(|times| *times *= turns);
        }
    }
    times.iter().sum()
}

/// Instructions, labels and directives of string literals in C.
fn lines(statements: &str) -> Vec<&str> {
    let literals = statements.lines().filter_map(literal);
    let lines = literals.flat_map(|literal| literal.split("\\n")).flat_map(|line| line.split(';'));
    lines.map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// What stands between the quotes of a line.
fn literal(line: &str) -> Option<&str> {
    let (from, to) = (line.find('"')?, line.rfind('"')?);
    line.get(from + 1..to)
}

/// Writes repeated lines out, and notes which instruction each label stands before.
fn repeat<'a>(
    lines: &[&'a str],
    instructions: &mut Vec<&'a str>,
    labels: &mut BTreeMap<&'a str, Vec<usize>>,
) {
    let mut i = 0;
    while i < lines.len() {
        let mut line = lines[i];
        i += 1;
        while let Some((label, rest)) = line.split_once(':') {
            labels.entry(label.trim()).or_default().push(instructions.len());
            line = rest.trim();
        }
        if let Some(count) = line.strip_prefix(".rept ") {
            let length = lines[i..].iter().position(|line| *line == ".endr").unwrap_or(0);
            for _ in 0..count.trim().parse().unwrap_or(1) {
                repeat(&lines[i..i + length], instructions, labels);
            }
            i += length + 1;
            continue;
        }
        if !line.is_empty() {
            instructions.push(line);
        }
    }
}

/// Of a branch: how far its short form reaches, and its label with the direction.
fn branch(instruction: &str) -> Option<(usize, &str)> {
    let (name, target) = instruction.split_once(' ')?;
    match name {
        "b" => Some((2048, target.trim())),
        "beq" | "bne" | "bge" | "blt" | "bgt" | "ble" | "blo" | "bhi" => Some((256, target.trim())),
        _ => None,
    }
}

/// The bytes of one instruction, a branch as if its label were near.
fn width(instruction: &str) -> usize {
    let (name, operands) = instruction.split_once(' ').unwrap_or((instruction, ""));
    let operands: Vec<&str> = operands.split(',').map(str::trim).collect();
    let is_low = |register: &str| {
        register.strip_prefix('r').and_then(|n| n.parse::<u8>().ok()).is_some_and(|n| n < 8)
    };
    let number = |text: &str| text.trim_matches(['#', ']']).parse::<i64>().ok();
    let is_number = |text: &&str| text.starts_with('#');
    let is_short = match (name, operands.as_slice()) {
        ("b" | "beq" | "bne" | "bge" | "blt" | "bgt" | "ble" | "blo" | "bhi" | "bx" | "nop", _) => {
            true
        }
        (name, _) if name.starts_with("it") => true,
        ("add" | "sub", ["sp", by]) => number(by).is_some_and(|by| by % 4 == 0 && by <= 508),
        ("add" | "mov" | "cmp" | "movlt" | "movgt", [_, other]) if !is_number(other) => true,
        ("cmp" | "movs", [register, by]) => is_low(register) && number(by).is_some_and(|n| n < 256),
        ("adds" | "subs", [register, by]) => {
            is_low(register) && number(by).is_some_and(|n| n < 256)
        }
        ("adds" | "subs", [to, from, by]) => {
            let is_small = number(by).is_some_and(|n| n < 8 || (to == from && n < 256));
            is_low(to) && is_low(from) && is_small
        }
        ("push" | "pop", _) => {
            let all = instruction.split_once('{').map_or("", |(_, list)| list);
            let names = all.trim_end_matches('}').split(',').map(str::trim);
            names.flat_map(|name| name.split('-')).all(|name| {
                is_low(name)
                    || (name == "lr" && name_is(instruction, "push"))
                    || (name == "pc" && name_is(instruction, "pop"))
            })
        }
        ("ldmia" | "stmia", [base, ..]) => {
            let all = instruction.split_once('{').map_or("", |(_, list)| list);
            let mut names = all.trim_end_matches('}').split(',').flat_map(|name| name.split('-'));
            base.ends_with('!')
                && is_low(base.trim_end_matches('!'))
                && names.all(|name| is_low(name.trim()))
        }
        (_, [to, from, rest @ ..]) if from.starts_with('[') => {
            let by = match rest {
                [] if from.ends_with(']') => Some(0),
                [by] if by.ends_with(']') => number(by),
                // The address changes, or is shifted.
                _ => None,
            };
            let base = from.trim_matches(['[', ']']);
            let register = rest.first().map(|by| by.trim_end_matches(']'));
            let is_indexed = matches!(rest, [by] if by.ends_with(']'))
                && register.is_some_and(is_low)
                && is_low(base);
            let (step, most) = match name {
                "ldr" | "str" if base == "sp" => (4, 1020),
                "ldr" | "str" => (4, 124),
                "ldrb" | "strb" | "strbne" => (1, 31),
                "ldrh" | "strh" | "strhne" => (2, 62),
                _ => (1, -1),
            };
            let is_scalar = matches!(
                name,
                "ldr" | "str" | "ldrb" | "strb" | "ldrh" | "strh" | "ldrsb" | "ldrsh"
            );
            let is_near = by.is_some_and(|by| (0..=most).contains(&by) && by % step == 0);
            let is_base = is_low(base) || (base == "sp" && step == 4);
            is_low(to) && ((is_base && is_near) || (is_indexed && is_scalar))
        }
        _ => false,
    };
    if is_short { 2 } else { 4 }
}

fn name_is(instruction: &str, name: &str) -> bool {
    instruction.starts_with(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_as_long_as_the_assembler_makes_them() {
        for (instruction, expected) in [
            ("push {r4-r11, lr}", 4),
            ("push {r4-r7, lr}", 2),
            ("sub sp, #28", 2),
            ("add sp, #512", 4),
            ("str r0, [sp, #4]", 2),
            ("str r12, [sp, #4]", 4),
            ("ldr r0, [r1], #4", 4),
            ("ldr r0, [r1, #124]", 2),
            ("ldr r0, [r1, #128]", 4),
            ("strb r2, [r0, #31]", 2),
            ("strb r2, [r0, #32]", 4),
            ("strh r12, [r1, r3]", 4),
            ("ldmia r1!, {r6, r7}", 2),
            ("ldmia r1!, {r6, r7, r8}", 4),
            ("ldmia r10, {r2, r3}", 4),
            ("add r10, r12", 2),
            ("add r0, #2", 4),
            ("adds r5, #4", 2),
            ("subs lr, lr, #1", 4),
            ("mov r2, r2, asr #9", 4),
            ("movs r12, #0", 4),
            ("cmp r0, r10", 2),
            ("cmp r10, #0", 4),
            ("it lt", 2),
            ("movlt r2, r11", 2),
            ("smlad r2, r11, r10, r2", 4),
            ("vldrb.8 q0, [r3], #16", 4),
            (".inst.w 0xee900fc8", 4),
        ] {
            assert_eq!(width(instruction), expected, "{instruction}");
        }
    }

    #[test]
    fn loops_execute_their_instructions_in_each_turn() {
        let text = "\"push {r4, lr}; 1:\\n\"\n\"2: .rept 3\\n\"\n\"smlad r2, r3, r4, r2; nop\\n\"\n\".endr\\n\"\n\"subs r1, #1; bne 2b; \
                    cmp r0, r3; blo 1b; bhi 3f; b 1b\\n\"\n\"3: pop {r4, pc}\"";
        assert_eq!(executed(text, &[("1", 5), ("2", 4)]), 1 + 5 * (4 * 8 + 2) + 2 + 1);
        assert_eq!(
            executed("\"wlstp.8 lr, r6, 2f; 1: nop; letp lr, 1b; 2: nop\"", &[("1", 9)]),
            20
        );
    }

    #[test]
    fn branches_are_long_where_their_label_is_far() {
        let near = "\"1: .rept 62\\n\"\n\"smlad r2, r3, r4, r2\\n\"\n\".endr\\n\"\n\"bne 1b\\n\"";
        assert_eq!(bytes(near), 62 * 4 + 2);
        assert_eq!(bytes(&near.replace("62", "65")), 65 * 4 + 4);
    }
}

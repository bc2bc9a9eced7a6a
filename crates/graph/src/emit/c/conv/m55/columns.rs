//! Layers with few inputs for an output, such as the first ones of networks: the inputs of two pixels
//! stay in registers while the weights of all channels pass, for a whole row of the output.

use super::{
    Geometry, SLACK, biases, offset,
    strip::{self, Strip, VECTOR},
};
use crate::emit::c::{
    conv::{ConvLayer, layer_function},
    source::{Source, fill},
};

/// Bytes of a window, at most: two vectors.
pub(super) const MAX_DEPTH: usize = 2 * VECTOR;
/// Bytes of a plan in C.
const PLAN_BYTES: usize = 56;

/// Prints a layer whose windows can be laid out contiguously; `None` where they cannot.
pub(super) fn emit(layer: &ConvLayer, geometry: &Geometry, source: &mut Source) -> Option<usize> {
    let (op, window) = (layer.op, &layer.op.window);
    let [kernel_h, kernel_w] = geometry.kernel;
    let (x, y) = (geometry.x, geometry.y);
    let shift = u8::try_from(op.requantization.shift).ok()?;
    // One instruction narrows to the whole range of a byte.
    let clamp = match (op.requantization.min, op.requantization.max) {
        (0, 255) => ("u8", "vqmovunb.s16 q4, q4"),
        (-128, 127) => ("s8", "vqmovnb.s16 q4, q4"),
        _ => return None,
    };
    let column = kernel_h * x.c;
    // Places in a group of columns are bytes.
    let has_places = kernel_h == 1 || x.c <= VECTOR && VECTOR / x.c * column <= 256;
    let is_served = op.groups == 1
        && layer.depth() <= MAX_DEPTH
        && matches!(shift, 1..=16)
        && !layer.has_classes()
        && y.w > 1
        && op.channels.is_multiple_of(strip::CHANNELS)
        && has_places;
    if !is_served {
        return None;
    }
    let strip = Strip::columns(layer, geometry.kernel, x.c);
    let columns = (y.w - 1) * window.stride[1] + kernel_w;
    let read = columns.saturating_sub(window.pad_begin[1]).min(x.w);
    let (taps, group_column) = if kernel_h == 1 { (VECTOR, VECTOR) } else { (x.c, column) };
    let bytes = columns * column;
    let numbers = [
        x.h,
        x.w * x.c,
        y.h,
        y.w,
        kernel_h,
        window.stride[0],
        window.pad_begin[0],
        read * x.c,
        window.pad_begin[1] * column,
        bytes,
        window.stride[1] * column,
        op.channels,
        usize::from(shift),
        usize::try_from(offset(layer)).ok()?,
        taps,
        group_column,
        x.c,
        strip.loops,
    ];
    let fit = numbers.iter().all(|&number| u16::try_from(number).is_ok());
    let numbers = fit.then(|| numbers.map(|number| number.to_string()).join(", "))?;
    source.once("mve", include_str!("mve.c"));
    source.once("pixels_plain", include_str!("pixels_plain.c"));
    source.once("fill_padding", include_str!("fill_padding.c"));
    let slack = SLACK.to_string();
    let values = [("P", "$P"), ("SLACK", slack.as_str())];
    source.once("slide_columns8", fill(include_str!("columns.c"), &values));
    let prefixed = |function: String| format!("$P_{function}");
    let is_odd = y.w % 2 == 1;
    let single = if is_odd { prefixed(strip.emit(1, source)) } else { "0".to_owned() };
    let pairs = prefixed(emit_pairs(&strip, shift, clamp, source));
    let name = layer.name;
    let weights = strip.weights(layer, &biases(layer, strip::CHANNELS));
    source.array("uint8_t", &format!("{name}_weights"), weights.into_iter().map(i64::from));
    let (min, max) = (op.requantization.min, op.requantization.max);
    source.object(
        PLAN_BYTES,
        format!(
            "static const $P_columns8 {name}_plan = {{\n    {single}, {pairs}, {name}_weights, \
             {min}, {max},\n    {numbers}\n}};"
        ),
    );
    let call = format!("    $P_slide_columns8(&{name}_plan, x, y, scratch);");
    layer_function(layer, source, &call);
    Some((bytes + SLACK).next_multiple_of(8))
}

/// Puts the function for a row of pairs into the file; gives its name without prefix.
fn emit_pairs(strip: &Strip, shift: u8, clamp: (&str, &str), source: &mut Source) -> String {
    let (kind, clamp) = clamp;
    let name = format!("pairs_{}_{shift}{kind}", strip.kind());
    let assembly = assembly(strip, shift, clamp).join("\\n\"\n        \"");
    let text = format!(
        "#if $P_HAS_MVE\nstatic __attribute__((naked, noinline, used)) void \
         $P_{name}(__attribute__((unused)) $P_windows *w)\n{{\n    __asm__ volatile(\n        \
         \"{assembly}\\n\"\n    );\n}}\n#else\nstatic void $P_{name}($P_windows *w)\n{{\n    for \
         (; w->pairs > 0; w->pairs--) {{\n        const int8_t *const rows[3] = {{w->x, w->x + \
         w->step, 0}};\n        $P_pixels b = {{rows, w->weights, {{0, 0}}, w->y, w->channels, \
         w->channels, 1, -{shift}, w->min, w->max, 0, 0}};\n        $P_pixels_plain(&b, 2, {}, {}, \
         {}, 1);\n        w->x += 2 * w->step;\n        w->y += 2 * w->channels;\n    }}\n}}\n#endif",
        strip.bits,
        u8::from(strip.carries),
        strip.steps(),
    );
    source.once(&name, fill(&text, &[("P", "$P")]));
    name
}

/// Offsets in `$P_windows`: window 0, step 4, output 8, channels 12, weights 16, pairs 28. Windows are in q0 to q3, weights and then sums in q4 to q7.
fn assembly(strip: &Strip, shift: u8, clamp: &str) -> Vec<String> {
    let steps = strip.steps();
    let mut asm: Vec<String> = Vec::new();
    let mut push = |lines: &str| asm.push(lines.to_owned());
    push("push {r4-r11, lr}; vpush {d8-d15}; push {r0}");
    push("1: ldr r11, [sp]; ldrd r0, r12, [r11]");
    for (pixel, [first, second]) in [["q0", "q1"], ["q2", "q3"]].iter().enumerate() {
        push(&format!("vldrb.8 {first}, [r0]"));
        if steps > 1 {
            push(&format!("vldrb.8 {second}, [r0, #16]"));
        }
        push(if pixel == 0 { "add r0, r12" } else { "add r0, r12; str r0, [r11]" });
    }
    push("ldrd r5, r9, [r11, #8]; add r7, r5, r9; add r0, r7, r9; str r0, [r11, #8]");
    push("ldr r3, [r11, #16]");
    push("2:");
    for step in 0..steps {
        let load = strip.load().replace("q3", "q7").replace("q2", "q6");
        push(&load.replace("q1", "q5").replace("q0", "q4"));
        for (pixel, sums) in strip::SUMS.iter().enumerate() {
            let add = if step == 0 { "" } else { "a" };
            for (channel, sum) in sums.iter().enumerate() {
                let (x, w) = (2 * pixel + step, 4 + channel);
                push(&format!("vmladav{add}.s8 {sum}, q{x}, q{w}"));
            }
        }
    }
    strip.separate(2).iter().for_each(|lines| push(lines));
    push("vldrb.8 q6, [r3], #16");
    for (y, [a, b, c, d]) in ["q4", "q5"].iter().zip(&strip::SUMS) {
        push(&format!("vmov {y}[2], {y}[0], {a}, {c}; vmov {y}[3], {y}[1], {b}, {d}"));
        push(&format!("vadd.i32 {y}, {y}, q6"));
    }
    // Both pixels side by side in halfwords, the second one above.
    // In code, as assemblers of binutils take `vqshrn` for `vqrshrn`, which rounds:
    // vqshrnb.s32 q4, q4, #shift; vqshrnt.s32 q4, q5, #shift.
    let code = 0xee90 + u16::from(16 - shift);
    push(&format!(".inst.w 0x{code:x}8f48; .inst.w 0x{code:x}9f4a"));
    push(clamp);
    push("vshr.u32 q5, q4, #16");
    push("vstrb.32 q4, [r5], #4; vstrb.32 q5, [r7], #4");
    push("subs r9, #4; bgt 2b");
    push("ldr r11, [sp]; ldr r0, [r11, #28]; subs r0, #1; str r0, [r11, #28]; bgt 1b");
    push("pop {r0}; vpop {d8-d15}; pop {r4-r11, pc}");
    asm
}

//! A dense layer: one pixel, several output channels at a time, values widened where they are used.

use super::{
    Arithmetic, Fetch,
    asm::{Assembly, Stores},
    pack::{Four, Unpack, group, pack, points, words},
};
use crate::emit::c::{
    conv::{coded::Coded, layer::ConvLayer, printed::Printed, three},
    options::WeightCode,
    source::{Source, Storage, fill},
};
use fixedwise_kernels::Element;

/// Output channels that share a value.
const CHANNELS: usize = 4;
/// Fours of a channel's weights in one turn of the loop; at least a group.
const UNROLLED: usize = 2;
/// Bytes of the code that unpacks weights of three values.
const UNPACKING: usize = 384;
/// Bytes of the calls that decode weights.
const DECODING: usize = 64;
/// Inputs of a layer whose weights are unpacked into working memory.
const MOST_UNPACKED: usize = 1024;

pub(super) fn emit(layer: &ConvLayer, source: &mut Source) -> Option<Printed> {
    if !is_dense(layer) || layer.has_biases_by_position() {
        return None;
    }
    let (depth, channels) = (layer.depth(), layer.channels);
    let n = depth.div_ceil(4);
    let power = three_power(layer, n);
    let divided = power.map_or_else(Vec::new, |power| three::divided(layer, power));
    let narrow = three::narrow(layer, &divided, power);
    // What follows the inputs is zero as well.
    let of_three = power.and_then(|power| Arithmetic::new(&narrow, true, false)?.divided(power));
    let is_three = of_three.is_some();
    let wide = ConvLayer { weight_bits: 8, ..*layer };
    let (coded, of_codes) = coded(&wide, layer.weight_bits).unzip();
    let layer = match (&coded, is_three) {
        (Some(_), _) => &wide,
        (None, true) => &narrow,
        (None, false) => layer,
    };
    let arithmetic = of_codes.or(of_three).or_else(|| Arithmetic::new(layer, true, false));
    let arithmetic = arithmetic.filter(|arithmetic| arithmetic.unpack != Unpack::Wide)?;
    let name = layer.name;
    let x_bytes = arithmetic.values.size_bytes();
    // Whole fours are read: where the input ends inside of one it is copied.
    let is_packed = arithmetic.x.bits() == 4;
    let is_copied = is_packed || !depth.is_multiple_of(4);
    let mut call =
        if is_copied { copy(&arithmetic, [depth, 4 * n], source) } else { String::new() };
    let from = if is_copied { "$SCRATCH" } else { "$X0" };
    let copied_bytes = if is_copied { (4 * n * x_bytes).next_multiple_of(8) } else { 0 };
    let mut unpacked_bytes = 0;
    let (mut weights, mut first) = (Vec::new(), 0);
    if let Some(coded) = &coded {
        coded.store(source, name);
        coded.runs(source, channels.div_ceil(CHANNELS), 1);
        call.push_str(&format!("$P_reader reader_{name} = {{{name}_weights, 0, 0}};\n"));
    }
    for block in [CHANNELS, channels % CHANNELS] {
        let blocks = if block == CHANNELS { channels / CHANNELS } else { usize::from(block > 0) };
        if blocks == 0 {
            continue;
        }
        let y_at = |channel: usize| channel * arithmetic.y.bits().min(8) / 8;
        let coarser = layer.coarser.get(first..).unwrap_or_default();
        let weight = |channel: usize, k: usize| {
            if k < depth { layer.weights[(first + channel) * depth + k] } else { 0 }
        };
        if coded.is_some() || is_three {
            // Each block is unpacked before it is computed.
            let dense = Dense { arithmetic: &arithmetic, channels: block, blocks: 1, n };
            let function = dense.emit(source);
            let of_block =
                |at: usize| dense.weights(coarser, |channel, k| weight(at * block + channel, k));
            let (bytes, unpack) = if is_three {
                source.once("unpackwords", include_str!("unpack_words.c"));
                let stored: Vec<Vec<u32>> =
                    (0..blocks).map(|at| three::of_words(&of_block(at))).collect();
                let (words, from_word) = (stored[0].len(), weights.len());
                let fives = words / 4;
                source.runs("unpackwords", &[blocks, blocks * fives]);
                weights.extend(stored.into_iter().flatten());
                let at = format!("{name}_weights + {from_word} + {words} * o");
                (20 * fives, format!("$P_unpack_words({at}, words, {fives});"))
            } else {
                let bytes = 4 * of_block(0).len();
                let to = "(int8_t *)(void *)words";
                let reader = format!("&{name}_code, &reader_{name}");
                (bytes, format!("{name}_code.decode({reader}, {bytes}, {to});"))
            };
            unpacked_bytes = unpacked_bytes.max(bytes);
            source.calls(&function, blocks);
            let (outputs, step) = (y_at(first), y_at(block));
            call.push_str(&format!(
                "for (int32_t o = 0; o < {blocks}; o++) {{\n    \
                 uint32_t *words = (uint32_t *)(void *)($SCRATCH + {copied_bytes});\n    {unpack}\n    \
                 $P_{function}({from}, words, {name}_bias + {first} + {block} * o, $Y + {outputs} + {step} * o);\n}}\n"
            ));
            first += block * blocks;
            continue;
        }
        let dense = Dense { arithmetic: &arithmetic, channels: block, blocks, n };
        let function = dense.emit(source);
        source.calls(&function, 1);
        call.push_str(&format!(
            "$P_{function}({from}, {name}_weights + {}, {name}_bias + {first}, $Y + {});\n",
            weights.len(),
            y_at(first)
        ));
        weights.extend(dense.weights(coarser, weight));
        first += block * blocks;
    }
    if coded.is_none() {
        let weights = weights.into_iter().map(i64::from);
        source.weights("uint32_t", &format!("{name}_weights"), weights);
    }
    source.array("int32_t", &format!("{name}_bias"), arithmetic.biases(layer));
    let scratch_bytes = (copied_bytes + unpacked_bytes).next_multiple_of(8);
    let weight_code = match (&coded, is_three) {
        (Some(_), _) => WeightCode::Codes,
        (None, true) => WeightCode::Digits,
        (None, false) => WeightCode::Fields,
    };
    Some(Printed { call, scratch_bytes, weight_code })
}

/// Whether there is one pixel that sees all inputs.
fn is_dense(layer: &ConvLayer) -> bool {
    let window = layer.window;
    layer.output.h * layer.output.w == 1
        && window.kernel == [layer.input.h, layer.input.w]
        && !window.is_padded()
        && layer.groups == 1
}

/// The power of two that weights of three values are, where it takes less to unpack them.
fn three_power(layer: &ConvLayer, fours: usize) -> Option<u32> {
    // Blocks of channels, the last one of fewer.
    let bytes = |channels: usize| 4 * three::words(channels * words(2, fours));
    let all = layer.channels / CHANNELS * bytes(CHANNELS) + bytes(layer.channels % CHANNELS);
    let may_be = layer.coarser.is_empty() && three::is_worth_time(layer);
    let may_be = may_be && layer.depth() <= MOST_UNPACKED;
    three::power(layer).filter(|_| may_be && three::saves(layer, all, UNPACKING))
}

/// Puts the function into the file that copies so many inputs, and zeros behind them; gives its call.
fn copy(arithmetic: &Arithmetic, [depth, padded]: [usize; 2], source: &mut Source) -> String {
    // Two to a byte each is read, else all bytes are.
    let is_packed = arithmetic.x.bits() == 4;
    let kind = if is_packed { arithmetic.x.short() } else { "bytes" };
    let value = if is_packed { format!("$P_at_{kind}(x, i)") } else { "x[i]".to_owned() };
    let values = [("P", "$P"), ("S", kind), ("VALUE", value.as_str())];
    source.once(&format!("dense_copy_{kind}"), fill(include_str!("dense_copy.c"), &values));
    let [count, padded] = [depth, padded].map(|n| n * arithmetic.values.size_bytes());
    source.runs(&format!("densecopy_{kind}"), &[1, padded]);
    format!("$P_dense_copy_{kind}($X0, $SCRATCH, {count}, {padded});\n")
}

/// The weights of blocks of channels in codes, as functions read weights of 8 bits; `None` where they take no less than
/// with so many bits each.
fn coded(layer: &ConvLayer, bits: u8) -> Option<(Coded, Arithmetic)> {
    let (depth, channels) = (layer.depth(), layer.channels);
    if layer.weight_code != WeightCode::Codes || depth > MOST_UNPACKED {
        return None;
    }
    let arithmetic = Arithmetic::new(layer, true, false)?;
    let n = depth.div_ceil(4);
    let of_block = |first: usize| {
        let block = CHANNELS.min(channels - first);
        let dense = Dense { arithmetic: &arithmetic, channels: block, blocks: 1, n };
        let coarser = layer.coarser.get(first..).unwrap_or_default();
        dense.weights(coarser, |channel, k| {
            if k < depth { layer.weights[(first + channel) * depth + k] } else { 0 }
        })
    };
    let blocks = (0..channels).step_by(CHANNELS).flat_map(of_block);
    let bytes = 4 * channels * words(bits.min(8), n);
    let coded = Coded::of_words(blocks, bytes.saturating_sub(DECODING))?;
    Some((coded, arithmetic))
}

/// What a function is made for.
struct Dense<'a> {
    arithmetic: &'a Arithmetic,
    /// Output channels of a block.
    channels: usize,
    blocks: usize,
    /// Fours of inputs.
    n: usize,
}

impl Dense<'_> {
    /// Puts the function into the file; gives its name without prefix.
    fn emit(&self, source: &mut Source) -> String {
        let Arithmetic { bits, unpack, values, .. } = *self.arithmetic;
        let name = format!(
            "dense{}_{}_w{bits}{}_{}x{}{}",
            self.channels,
            Storage::Whole(values).short(),
            if unpack == Unpack::Lanes { "l" } else { "" },
            self.blocks,
            self.n,
            self.arithmetic.name(),
        );
        source.once("dsp", include_str!("dsp.c"));
        source.once("dsp_plain", include_str!("plain.c"));
        source.once("dense_plain", include_str!("dense_plain.c"));
        let kind = match values {
            Element::U8 => "8",
            Element::I8 => "-8",
            Element::I16 => "16",
        };
        let plain = format!(
            "    static const $P_dense_plan plan = {{{}, {}, {}, {}}};\n    \
             $P_dense_plain(x, weights, bias, y, &plan, {kind});",
            self.channels,
            self.blocks,
            self.n,
            self.arithmetic.plan(true),
        );
        let parameters =
            ["const void *x", "const uint32_t *weights", "const int32_t *bias", "void *y"];
        let [_, _, loops] = self.loops();
        let turns = [("1", self.blocks), ("2", loops)];
        self.assembly().function(source, &name, &parameters, &plain, &turns);
        name
    }

    fn sums(&self) -> Vec<String> {
        (0..self.channels).map(|channel| format!("r{}", 2 + channel)).collect()
    }

    fn words(&self) -> Vec<String> {
        (0..self.channels).map(|channel| format!("r{}", 6 + channel)).collect()
    }

    /// Whole groups of a channel's weights, those of one turn of the loop, and its turns.
    fn loops(&self) -> [usize; 3] {
        let group = group(self.arithmetic.bits);
        let groups = self.n / group;
        let unrolled = (UNROLLED / group).clamp(1, groups.max(1));
        [groups, unrolled, groups / unrolled]
    }

    fn assembly(&self) -> Assembly {
        let Arithmetic { bits, unpack, values, .. } = *self.arithmetic;
        let mut asm = Assembly::default();
        // [sp]: input, biases, output, its end, end of the loop.
        asm.all("push {r4-r11, lr}; sub sp, #20; str r0, [sp]; str r2, [sp, #4]; str r3, [sp, #8]");
        asm.add("r12", "r3", self.arithmetic.y_bytes(self.channels * self.blocks));
        asm.push("str r12, [sp, #12]");
        let group = group(bits);
        let [groups, unrolled, loops] = self.loops();
        asm.add("r12", "r0", loops * unrolled * group * 4 * values.size_bytes());
        asm.push("str r12, [sp, #16]");
        if unpack == Unpack::Lanes {
            asm.constant("lr", (0xffff_i64 << (16 - bits) & 0xffff) * 0x0001_0001);
        }
        asm.push("1:");
        asm.all("ldr r0, [sp]; ldr r10, [sp, #4]");
        asm.push(format!("ldmia r10!, {{{}}}", self.sums().join(", ")));
        asm.push("str r10, [sp, #4]");
        if loops > 0 {
            if loops > 1 {
                asm.push("2:");
            }
            asm.repeat(unrolled, |asm| self.group(asm, group));
            if loops > 1 {
                asm.all("ldr r12, [sp, #16]; cmp r0, r12; bne 2b");
            }
        }
        asm.repeat(groups - loops * unrolled, |asm| self.group(asm, group));
        if !self.n.is_multiple_of(group) {
            self.group(&mut asm, self.n % group);
        }
        self.arithmetic
            .align(&mut asm, &self.sums().into_iter().map(|sum| vec![sum]).collect::<Vec<_>>());
        asm.push("ldr r0, [sp, #8]");
        // Two share a byte at 4 bits.
        let together = if self.arithmetic.y.bits() == 4 { 2 } else { 1 };
        let sums: Vec<Vec<String>> = self.sums().chunks(together).map(<[_]>::to_vec).collect();
        let stores = Stores {
            arithmetic: self.arithmetic,
            sums: &sums,
            pixel_bytes: self.arithmetic.y_bytes(together),
            y: "r0",
            last_is_one: false,
        };
        stores.push(&mut asm);
        asm.push(format!("add r0, #{}", self.arithmetic.y_bytes(self.channels)));
        asm.all("str r0, [sp, #8]; ldr r10, [sp, #12]; cmp r0, r10; bne 1b");
        asm.all("add sp, #20; pop {r4-r11, pc}");
        asm
    }

    /// One group of weights of each channel: `fours` times four values.
    fn group(&self, asm: &mut Assembly, fours: usize) {
        let Arithmetic { bits, unpack, values, .. } = *self.arithmetic;
        // A group of one word is in registers.
        let is_word = words(bits, group(bits)) == 1;
        let step = 4 * self.channels * words(bits, fours);
        let bits = usize::from(bits);
        let words = self.words();
        if is_word {
            asm.push(if words.len() == 1 {
                "ldr r6, [r1], #4".to_owned()
            } else {
                format!("ldmia r1!, {{{}}}", words.join(", "))
            });
        }
        for four in 0..fours {
            asm.line();
            match values {
                Element::U8 => {
                    asm.all("ldr r10, [r0], #4; uxtb16 r11, r10, ror #8; uxtb16 r10, r10");
                }
                Element::I8 => {
                    asm.all("ldr r10, [r0], #4; sxtb16 r11, r10, ror #8; sxtb16 r10, r10");
                }
                Element::I16 => asm.all("ldr r10, [r0], #4; ldr r11, [r0], #4"),
            }
            for (channel, (sum, word)) in self.sums().iter().zip(&words).enumerate() {
                asm.line();
                if unpack == Unpack::Lanes {
                    for (i, values) in ["r10", "r11"].into_iter().enumerate() {
                        let shift = match (2 * four + i) * bits {
                            0 => String::new(),
                            by => format!(", lsl #{by}"),
                        };
                        asm.push(format!("and r12, lr, {word}{shift}"));
                        self.arithmetic.signs(asm, "r12");
                        asm.push(format!("smlad {sum}, r12, {values}, {sum}"));
                    }
                    continue;
                }
                let mut from = word.as_str();
                if !is_word {
                    let (to, temporary, mask, is_last) = ("lr", "r12", None, false);
                    let (index, stride, first) = (four, self.channels, channel);
                    let fetch = Fetch { to, temporary, mask, index, is_last, stride, first };
                    self.arithmetic.fetch(asm, &fetch);
                    from = "lr";
                } else if bits < 8 {
                    if four > 0 {
                        asm.push(format!("lsl {word}, {word}, #{bits}"));
                    }
                    let mask = (0xff << (8 - bits) & 0xff) * 0x0101_0101_u32;
                    asm.push(format!("and lr, {word}, #{mask:#x}"));
                    self.arithmetic.signs(asm, "lr");
                    from = "lr";
                }
                asm.push(format!("sxtb16 r12, {from}"));
                asm.push(format!("smlad {sum}, r12, r10, {sum}"));
                asm.push(format!("sxtb16 r12, {from}, ror #8"));
                asm.push(format!("smlad {sum}, r12, r11, {sum}"));
            }
        }
        if !is_word {
            asm.push(format!("adds r1, #{step}"));
        }
    }

    /// Packs the weights `weight(channel, k)`, of which some channels' may be `coarser`:
    /// `[block][word][channel]`.
    fn weights(&self, coarser: &[u8], weight: impl Fn(usize, usize) -> i16) -> Vec<u32> {
        let Arithmetic { bits, unpack, values, .. } = *self.arithmetic;
        // Bytes are widened in the order 0, 2, 1, 3.
        let order = if values == Element::I16 { [[0, 1], [2, 3]] } else { [[0, 2], [1, 3]] };
        let mut words = Vec::new();
        for block in 0..self.blocks {
            let channel = |channel: usize| {
                let channel = block * self.channels + channel;
                let four = |i: usize| -> Four {
                    order.map(|pair| pair.map(|lane| weight(channel, 4 * i + lane)))
                };
                pack(unpack, bits, &(0..self.n).map(four).collect::<Vec<_>>())
            };
            let channels: Vec<Vec<u32>> = (0..self.channels).map(channel).collect();
            let count = channels.first().map_or(0, Vec::len);
            words.extend((0..count).flat_map(|i| channels.iter().map(move |words| words[i])));
            words.extend(points(coarser, block * self.channels));
        }
        words
    }
}

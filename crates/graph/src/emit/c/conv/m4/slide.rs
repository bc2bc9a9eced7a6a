//! Convolutions over images: input rows are widened to `int16_t` once, into a ring of as many rows as
//! the kernel has, and strips of output pixels are computed from there.

use super::{
    Arithmetic,
    blocks::{Block, Three},
    coded::{Codes, TilePlace},
    depthwise::Depthwise,
    strip::Strip,
};
use crate::{
    emit::c::{
        conv::{layer::ConvLayer, printed::Printed, three},
        options::WeightCode,
        source::{Source, Storage, fill},
    },
    shape::Shape,
    window::Window,
};
use fixedwise_kernels::{ConvKind, Element};
use std::ops::Range;

/// Rows of the largest kernel.
const MAX_ROWS: usize = 11;
/// Pixels of the widest strip.
const MAX_PIXELS: usize = 4;
/// Bytes of a row that one-pixel kernels put several image rows into.
const FLAT_BYTES: usize = 2048;
/// Bytes of the ring where a row is computed by itself, if columns are cut for it.
const RING_BYTES: usize = 2560;
/// Bytes of a plan in C.
const PLAN_BYTES: usize = 72;

/// How a layer lies in the ring.
struct Geometry {
    /// Of input and output as they are walked.
    x: Shape,
    y: Shape,
    kernel: [usize; 2],
    stride: [usize; 2],
    pad: [usize; 2],
    /// Channels of a pixel in the ring.
    ring_channels: usize,
    /// Only the columns that are read are in the ring.
    gathers: bool,
    /// Values from one row of the image to the next.
    image_row: usize,
    /// `int16_t` of a row of the ring.
    row: usize,
    /// The same once more after it, one value to the left: for pixels at odd places.
    is_twice: bool,
}

pub(super) fn emit(layer: &ConvLayer, source: &mut Source) -> Option<Printed> {
    let window = layer.window;
    let kind = layer.kind();
    let is_served = window.dilation == [1, 1] && window.kernel[0] <= MAX_ROWS;
    if !is_served || kind == ConvKind::Grouped {
        return None;
    }
    let is_depthwise = kind == ConvKind::Depthwise;
    // Rows of pairs end with a zero weight on whatever follows.
    let is_odd = !is_depthwise && window.kernel[1] * layer.input.c % 2 == 1;
    let three = Three::of(layer, is_depthwise);
    let divided = three.map_or_else(Vec::new, |three| three::divided(layer, three.power));
    let narrow = three::narrow(layer, &divided, three.map(|three| three.power));
    let of_three = three.and_then(|Three { power, channels }| {
        Some((Arithmetic::new(&narrow, true, is_odd)?.divided(power)?, channels))
    });
    let (layer, arithmetic, blocks) = match of_three {
        Some((arithmetic, channels)) => (&narrow, arithmetic, Some(channels)),
        None => (layer, Arithmetic::new(layer, !is_depthwise, is_odd)?, None),
    };
    let tiles = tiles(layer, is_depthwise, &arithmetic);
    let wide = ConvLayer { weight_bits: 8, ..*layer };
    let of_codes = (layer.weight_code == WeightCode::Codes && !is_depthwise).then(|| {
        let of_bytes = Arithmetic::new(&wide, true, is_odd)?;
        let geometry = &tiles[0].geometry;
        let bytes = 4 * geometry.weights(layer, &arithmetic, layer.channels)[0].len();
        let weights = |channels: usize| geometry.weights(&wide, &of_bytes, channels);
        Some((Codes::of(&wide, bytes, tiles.len(), weights)?, of_bytes))
    });
    let (layer, arithmetic, codes) = match of_codes.flatten() {
        Some((codes, arithmetic)) => (&wide, arithmetic, Some(codes)),
        None => (layer, arithmetic, None),
    };
    let of_strip = codes.as_ref().map(|codes| codes.channels).or(blocks);
    let geometry = |tile: &Tile| Geometry {
        image_row: if layer.flows {
            layer.input.w * layer.input.c
        } else {
            tile.geometry.image_row
        },
        ..tile.geometry
    };
    let rows = layer.rows(tiles[0].geometry.y.h, source);
    let mut shared = None;
    let (mut call, mut ring_bytes, mut unpacked_bytes) = (String::new(), 0, 0);
    let mut places = Vec::new();
    for (at, tile) in tiles.iter().enumerate() {
        let (geometry, part) = (geometry(tile), tile.layer(layer));
        let numbers = geometry.numbers(&part, &arithmetic, tile.column)?;
        let parts = if is_depthwise {
            geometry.depthwise(&part, &arithmetic, source)?
        } else {
            geometry.convolution(&part, &arithmetic, of_strip, codes.is_some(), source)?
        };
        let shared = shared.get_or_insert_with(|| parts.shared(layer, &arithmetic, source));
        let plan = if at == 0 { "plan".to_owned() } else { format!("plan_{at}") };
        parts.plan(layer, &arithmetic, (&plan, &numbers), shared, source);
        unpacked_bytes = 4 * parts.block.map_or(0, Block::words);
        if !source.is_draft() {
            let times = codes.as_ref().map_or(1, |codes| layer.channels / codes.channels);
            geometry.runs(&part, &arithmetic, &parts, times, source);
        }
        ring_bytes = ring_bytes.max(2 * geometry.kernel[0] * geometry.slot());
        if codes.is_some() {
            places.push(tile.place(layer, format!("{}_{plan}", layer.name)));
            continue;
        }
        let has_blocks = parts.block.is_some();
        call.push_str(&tile.call(layer, (&plan, &rows), has_blocks));
    }
    let biases = layer.added.map_or(0, |_| 4 * MAX_PIXELS * layer.channels.next_multiple_of(2));
    if let Some(codes) = codes {
        let call = codes.emit(layer, &arithmetic, &places, &rows, source);
        let scratch_bytes = (codes.bytes + ring_bytes + biases).next_multiple_of(8);
        return Some(Printed { call, scratch_bytes, weight_code: WeightCode::Codes });
    }
    Some(Printed {
        call: call.trim_end().to_owned(),
        scratch_bytes: (ring_bytes + unpacked_bytes + biases).next_multiple_of(8),
        weight_code: blocks.map_or(WeightCode::Fields, |_| WeightCode::Digits),
    })
}

/// Whether the function that computes a layer is told where its weights and biases lie.
fn is_told(layer: &ConvLayer) -> bool {
    layer.weight_code == WeightCode::Codes
}

/// Where that function gets its biases and the channels of what is added, and its parameters for that.
fn told(is_told: bool, is_added: bool) -> [&'static str; 3] {
    match (is_told, is_added) {
        (false, _) => ["l->bias", "a->channels", ""],
        (true, false) => ["first", "", ", const uint32_t *weights,\n    const int32_t *first"],
        (true, true) => [
            "first",
            "channels",
            ", const uint32_t *weights,\n    const int32_t *first, int32_t channels",
        ],
    }
}

/// Neighboring columns of the output of a row that is computed by itself, or all.
struct Tile {
    /// The first of them, and the first one of the input that they read.
    column: usize,
    x_column: usize,
    window: Window,
    input: Shape,
    output: Shape,
    geometry: Geometry,
}

impl Tile {
    fn new(layer: &ConvLayer, is_depthwise: bool, columns: Range<usize>) -> Self {
        let (stride, pad) = (layer.window.stride[1], layer.window.pad_begin[1]);
        let x_column = (columns.start * stride).saturating_sub(pad);
        let mut window = layer.window.clone();
        window.pad_begin[1] = pad.saturating_sub(columns.start * stride);
        let Shape { h, w, c } = layer.input;
        let input = Shape::new(h, w.saturating_sub(x_column).max(1), c);
        let output = Shape::new(layer.output.h, columns.len(), layer.output.c);
        let part = ConvLayer { window: &window, input, output, ..*layer };
        let geometry = Geometry::new(&part, is_depthwise);
        Self { column: columns.start, x_column, window, input, output, geometry }
    }

    /// The call that computes these columns by a plan in some rows.
    fn call(&self, layer: &ConvLayer, (plan, rows): (&str, &str), has_blocks: bool) -> String {
        let from = |count: usize, storage: Storage| match count * storage.bits() {
            0 => String::new(),
            bits => format!(" + {}", bits / storage.bits().max(8)),
        };
        let at_y = self.column * layer.channels;
        let x = from(self.x_column * layer.input.c, layer.x);
        let (y, name) = (from(at_y, layer.y), layer.name);
        let plan = format!("&{name}_{plan}");
        if has_blocks {
            return format!(
                "$P_slide_three({plan}, &{name}_blocks, $X0{x}, $Y{y}, $SCRATCH, {rows});\n"
            );
        }
        // Where some layers have codes, one function computes all: it is told where weights lie.
        let (mut at, mut told) = ("", String::new());
        if is_told(layer) {
            (at, told) = ("_at", format!(", {name}_weights, {name}_bias"));
            if layer.added.is_some() {
                told.push_str(&format!(", {}", layer.channels));
            }
        }
        match layer.added {
            None => format!("$P_slide{at}({plan}, $X0{x}, $Y{y}, $SCRATCH, {rows}{told});\n"),
            Some(added) => {
                let added = from(at_y, added.storage);
                let values = format!("$X0{x}, $X1{added}, $Y{y}");
                format!(
                    "$P_slide_added{at}({plan}, &{name}_added, {values}, $SCRATCH, {rows}{told});\n"
                )
            }
        }
    }

    /// Where these columns begin in the values, computed by that plan.
    fn place(&self, layer: &ConvLayer, plan: String) -> TilePlace {
        let bytes = |count: usize, storage: Storage| count * storage.bits() / 8;
        let at_y = self.column * layer.channels;
        TilePlace {
            plan,
            x: bytes(self.x_column * layer.input.c, layer.x),
            y: bytes(at_y, layer.y),
            added: layer.added.map_or(0, |added| bytes(at_y, added.storage)),
        }
    }

    /// The layer that computes these columns alone.
    fn layer<'a>(&'a self, layer: &ConvLayer<'a>) -> ConvLayer<'a> {
        let Self { window, input, output, .. } = self;
        ConvLayer { window, input: *input, output: *output, ..*layer }
    }
}

/// Columns cut into as few tiles as a small ring allows, where rows are computed by themselves.
fn tiles(layer: &ConvLayer, is_depthwise: bool, arithmetic: &Arithmetic) -> Vec<Tile> {
    let width = layer.output.w;
    let whole = || vec![Tile::new(layer, is_depthwise, 0..width)];
    // Tiles begin with a byte of each value.
    let begins_with_byte =
        |storage: Storage, channels: usize| storage.bits() >= 8 || channels.is_multiple_of(2);
    let is_cut = layer.flows
        && begins_with_byte(arithmetic.x, layer.input.c)
        && begins_with_byte(arithmetic.y, layer.channels)
        && layer.added.is_none_or(|added| begins_with_byte(added.storage, layer.channels))
        && layer.window.pad_begin[1] <= layer.window.stride[1] * MAX_PIXELS;
    if !is_cut {
        return whole();
    }
    for n in 1..=width.div_ceil(MAX_PIXELS) {
        let each = width.div_ceil(n).next_multiple_of(MAX_PIXELS);
        let ranges = (0..width).step_by(each).map(|from| from..(from + each).min(width));
        let tiles: Vec<Tile> =
            ranges.map(|columns| Tile::new(layer, is_depthwise, columns)).collect();
        let bytes = |tile: &Tile| 2 * tile.geometry.kernel[0] * tile.geometry.slot();
        let is_last = each == MAX_PIXELS;
        if is_last || tiles.iter().map(bytes).max() <= Some(RING_BYTES) {
            return tiles;
        }
    }
    whole()
}

/// What the tiles of a layer share: initializers of their descriptions.
struct Shared {
    weights: String,
    /// The classes of positions, or 0.
    classes: String,
}

/// What a kind of convolution puts into the file.
struct Parts {
    /// Name without prefix of the function for strips, and how many of which pixels: at most two.
    strips: Vec<(String, usize, usize)>,
    weights: Vec<u32>,
    /// Where weights are unpacked block by block.
    block: Option<Block>,
    /// How rows are widened.
    widen: Widen,
}

#[derive(Clone, Copy)]
enum Widen {
    /// Fours in the order 0, 2, 1, 3.
    Fours,
    /// Fours as they are.
    Pairs,
    Each,
    Twice,
}

impl Geometry {
    fn new(layer: &ConvLayer, is_depthwise: bool) -> Self {
        let window = layer.window;
        let (mut x, mut y) = (layer.input, layer.output);
        let (kernel, mut stride) = (window.kernel, window.stride);
        let is_pixel = kernel == [1, 1] && !window.is_padded() && !layer.flows;
        if is_pixel && stride == [1, 1] && !layer.has_classes() {
            let columns = flat_columns(x);
            let rows = x.h * x.w / columns;
            x = Shape::new(rows, columns, x.c);
            y = Shape::new(rows, columns, y.c);
        }
        let gathers = kernel[1] == 1 && stride[1] > 1 && window.pad_begin[1] == 0;
        let gathers = gathers && (y.w - 1) * stride[1] < x.w;
        if gathers {
            stride[1] = 1;
        }
        let ring_channels = if is_depthwise { x.c.next_multiple_of(2) } else { x.c };
        let is_twice = !is_depthwise && stride[1] * x.c % 2 == 1 && y.w > 1;
        let columns = (y.w - 1) * stride[1] + kernel[1];
        // A last pair may reach one value further.
        let row = (columns * ring_channels + usize::from(!is_depthwise)).next_multiple_of(2);
        let (pad, image_row) = (window.pad_begin, x.w * x.c);
        Self { x, y, kernel, stride, pad, ring_channels, gathers, image_row, row, is_twice }
    }

    /// Says what the driver, the functions that fill the ring and the strips do for an image, so many times: as often as
    /// weights are decoded.
    fn runs(
        &self,
        layer: &ConvLayer,
        arithmetic: &Arithmetic,
        parts: &Parts,
        times: usize,
        source: &mut Source,
    ) {
        let ([kernel, _], rows) = (self.kernel, self.y.h);
        // Rows that get into the ring, once or, where each row is computed by itself, for each again.
        let (mut filled, mut padded, mut next) = (0, 0, 0);
        for row in 0..rows {
            let top = row * self.stride[0];
            let from = if layer.flows { top } else { next.max(top) };
            for row in from..top + kernel {
                let is_inside = (self.pad[0]..self.pad[0] + self.x.h).contains(&row);
                if is_inside { filled += 1 } else { padded += 1 }
            }
            next = top + kernel;
        }
        let calls = if layer.flows { rows } else { 1 };
        let (pieces, n) = self.pieces();
        let zeros = padded + if self.is_covered() { 0 } else { calls * kernel };
        let zero_calls = padded + if self.is_covered() { 0 } else { calls };
        if zero_calls > 0 {
            source.runs("zero", &[times * zero_calls, times * zeros * self.slot() / 16]);
        }
        let (calls_of_widen, name) = (filled * pieces, parts.widen.name(arithmetic.x));
        // Blocks of values and those that are left.
        let block = match parts.widen {
            _ if arithmetic.x.bits() == 4 => [n / 2, 0],
            Widen::Fours | Widen::Pairs => [n / 16, n % 16 / 4],
            Widen::Each | Widen::Twice => [n / 4, n % 4],
        };
        let turns = [1, block[0], block[1]].map(|turns| times * turns * calls_of_widen);
        source.runs(&name, &turns);
        let blocks = parts.block.map_or(1, |block| layer.channels / block.channels);
        let (mut strips, mut from) = (0, 0);
        for (strip, pixels, end) in &parts.strips {
            let count = (end - from) / pixels * blocks;
            source.calls(strip, times * count * rows);
            strips += count * rows;
            from = *end;
        }
        let pixels = rows * self.y.w;
        let classes = if layer.has_classes() { pixels * blocks } else { 0 };
        let turns = [
            calls,
            rows,
            filled * pieces,
            filled,
            padded,
            kernel * rows,
            strips,
            strips * kernel,
            classes,
        ];
        if let Some(Block { fives, .. }) = parts.block {
            source.runs("unpackwords", &[blocks * rows, blocks * rows * fives]);
            source.runs("slidethree", &[&turns[..], &[blocks * rows]].concat());
            return;
        }
        let turns = turns.map(|turns| times * turns);
        let at_name = if is_told(layer) { "at" } else { "" };
        match layer.added {
            None => source.runs(&format!("slide{at_name}"), &turns),
            Some(added) => {
                let kind = format!("slideadded{at_name}");
                source.runs(&kind, &[&turns[..], &[times * pixels]].concat());
                let biases = format!("biases_{}", added.storage.short());
                source.runs(&biases, &[times * pixels, pixels * layer.channels]);
            }
        }
    }

    /// Pieces of an input row that get into the ring, and the values of each.
    fn pieces(&self) -> (usize, usize) {
        if self.gathers || self.ring_channels > self.x.c {
            (self.read_columns(), self.x.c)
        } else {
            (1, self.read_columns() * self.x.c)
        }
    }

    /// Whether input rows fill those of the ring.
    fn is_covered(&self) -> bool {
        self.read_columns() == (self.y.w - 1) * self.stride[1] + self.kernel[1]
    }

    /// Columns of the input that get into the ring.
    fn read_columns(&self) -> usize {
        let columns = (self.y.w - 1) * self.stride[1] + self.kernel[1];
        if self.gathers { self.y.w } else { columns.saturating_sub(self.pad[1]).min(self.x.w) }
    }

    /// `int16_t` from one output pixel to the next.
    fn column(&self) -> usize {
        self.stride[1] * self.ring_channels
    }

    fn convolution(
        &self,
        layer: &ConvLayer,
        arithmetic: &Arithmetic,
        block: Option<usize>,
        has_codes: bool,
        source: &mut Source,
    ) -> Option<Parts> {
        let channels = block.unwrap_or(layer.channels);
        let place = |pixel: usize| {
            let at = pixel * self.column();
            if self.is_twice && at % 2 == 1 { self.row + at - 1 } else { at }
        };
        let limit = |pixels: usize| {
            2 * (0..pixels).map(place).max().unwrap_or(0) <= Strip::REACH
                && arithmetic.y_bytes(pixels * layer.channels) <= Strip::REACH
        };
        let most = (1..=MAX_PIXELS).rev().find(|&pixels| limit(pixels))?;
        // Odd places alternate: then each strip begins at an even column.
        let widths =
            if self.is_twice { even_strips(self.y.w, most)? } else { strips(self.y.w, most) };
        let run = self.kernel[1] * self.x.c;
        let strip = |pixels: usize| Strip {
            arithmetic,
            channels,
            pixel_channels: layer.channels,
            rows: self.kernel[0],
            pairs: run.div_ceil(2),
            offsets: (0..pixels).map(place).collect(),
            has_classes: layer.has_biases_by_position(),
        };
        let fours = self.has_fours(arithmetic);
        let (mut weights, mut unpacked) = (Vec::new(), None);
        if !has_codes {
            let words = self.weights(layer, arithmetic, channels);
            unpacked = block.map(|channels| Block { channels, fives: words[0].len().div_ceil(5) });
            let stored = |words: Vec<u32>| {
                if block.is_some() { three::of_words(&words) } else { words }
            };
            weights = words.into_iter().flat_map(stored).collect();
        }
        let block = unpacked;
        let widen = if self.is_twice {
            Widen::Twice
        } else if fours {
            Widen::Fours
        } else {
            Widen::Each
        };
        let strips =
            widths.into_iter().map(|(pixels, end)| (strip(pixels).emit(source), pixels, end));
        Some(Parts { strips: strips.collect(), weights, block, widen })
    }

    /// Whether values are widened four by four, in the order 0, 2, 1, 3.
    fn has_fours(&self, arithmetic: &Arithmetic) -> bool {
        self.x.c.is_multiple_of(4) && arithmetic.x.bits() == 8
    }

    /// The weights of a convolution as its strips read them, for each block of so many channels.
    fn weights(
        &self,
        layer: &ConvLayer,
        arithmetic: &Arithmetic,
        channels: usize,
    ) -> Vec<Vec<u32>> {
        let run = self.kernel[1] * self.x.c;
        let strip = Strip {
            arithmetic,
            channels,
            pixel_channels: channels,
            rows: self.kernel[0],
            pairs: run.div_ceil(2),
            offsets: Vec::new(),
            has_classes: false,
        };
        let fours = self.has_fours(arithmetic);
        let weight = |channel: usize, row: usize, k: usize| {
            let k = if fours { k / 4 * 4 + [0, 2, 1, 3][k % 4] } else { k };
            if channel >= layer.channels || k >= run {
                return 0;
            }
            layer.weights[channel * layer.depth() + row * run + k]
        };
        let of_block = |first: usize| {
            let coarser = layer.coarser.get(first..).unwrap_or_default();
            strip.weights(coarser, |channel, row, k| weight(first + channel, row, k))
        };
        (0..layer.channels).step_by(channels).map(of_block).collect()
    }

    fn depthwise(
        &self,
        layer: &ConvLayer,
        arithmetic: &Arithmetic,
        source: &mut Source,
    ) -> Option<Parts> {
        let strip = |pixels: usize| Depthwise {
            arithmetic,
            channels: layer.channels,
            ring_channels: self.ring_channels,
            kernel: self.kernel,
            stride: self.stride[1],
            pixels,
            has_classes: layer.has_biases_by_position(),
        };
        let most = (1..=MAX_PIXELS).rev().find(|&pixels| strip(pixels).is_in_reach())?;
        let [_, columns] = self.kernel;
        let weights = strip(1).weights(layer.coarser, |channel, row, column| {
            let at = channel * layer.depth() + row * columns + column;
            if channel < layer.channels { layer.weights[at] } else { 0 }
        });
        let fours = self.x.c.is_multiple_of(4) && arithmetic.x.bits() == 8;
        let widen = if fours { Widen::Pairs } else { Widen::Each };
        let strips = strips(self.y.w, most)
            .into_iter()
            .map(|(pixels, end)| (strip(pixels).emit(source), pixels, end));
        Some(Parts { strips: strips.collect(), weights, block: None, widen })
    }

    /// `int16_t` of a row with what follows it.
    fn slot(&self) -> usize {
        if self.is_twice { 2 * self.row } else { self.row }
    }

    /// The plan's numbers in the order of `slide.c`; `None` where one needs more than 16 bits.
    ///
    /// The classes of columns are looked for from a first one on.
    fn numbers(
        &self,
        layer: &ConvLayer,
        arithmetic: &Arithmetic,
        first_column: usize,
    ) -> Option<String> {
        let channels = layer.channels;
        let (pieces, n) = self.pieces();
        let step = if self.gathers { layer.window.stride[1] } else { 1 };
        let numbers = [
            self.x.h,
            arithmetic.x_bytes(self.image_row),
            self.y.h + first_column,
            self.y.w,
            self.kernel[0],
            self.stride[0],
            self.pad[0],
            pieces,
            n,
            arithmetic.x_bytes(step * self.x.c),
            self.ring_channels,
            self.slot(),
            self.pad[1] * self.ring_channels,
            2 * self.row - 2,
            usize::from(!self.is_covered()),
            self.column(),
            arithmetic.y_bytes(channels),
            channels.next_multiple_of(2),
            layer.bias.n_column_classes,
        ];
        let fit = numbers.iter().all(|&number| u16::try_from(number).is_ok());
        fit.then(|| numbers.map(|number| number.to_string()).join(", "))
    }
}

impl Parts {
    /// Puts the driver and the constants of a layer into the file.
    fn shared(&self, layer: &ConvLayer, arithmetic: &Arithmetic, source: &mut Source) -> Shared {
        let channels = layer.channels;
        let name = layer.name;
        // A null pointer follows the last row.
        let rows = (MAX_ROWS + 1).to_string();
        let is_added = layer.added.is_some();
        let (member, address) =
            (source.weights_member("uint32_t"), source.weights_address("uint32_t"));
        let values = [("P", "$P"), ("MEMBER", member.as_str())];
        source.once("sliding", fill(include_str!("sliding.c"), &values));
        let added = layer.added.map(|added| layer.added_to_bias(added, arithmetic.scale, source));
        let is_told = is_told(layer);
        let driver = match (is_added, self.block) {
            (true, _) if is_told => "slide_added_at",
            (true, _) => "slide_added",
            (false, None) if is_told => "slide_at",
            (false, None) => "slide",
            (false, Some(_)) => "slide_three",
        };
        let [parameters, biases, by_position, pixel_biases] = if is_added {
            [
                "const $P_added *a, const void *input, const void *added, void *output,\n    uint8_t *scratch",
                "const int32_t *biases[4];\n    int32_t *made = (int32_t *)(void *)(ring + l->kernel_h * l->ring_row), at = 0;",
                "(const void *)biases",
                include_str!("slide_added.c").trim_end(),
            ]
        } else if self.block.is_some() {
            [
                "const $P_blocks *n, const void *input, void *output,\n    uint8_t *scratch",
                "const int32_t *biases[4];\n    uint32_t *words = (uint32_t *)(void *)(ring + l->kernel_h * l->ring_row);",
                "0",
                include_str!("slide_classes.c").trim_end(),
            ]
        } else {
            [
                "const void *input, void *output, uint8_t *scratch",
                "const int32_t *biases[4];",
                "l->classes ? (const void *)biases : (const void *)l->bias",
                include_str!("slide_classes.c").trim_end(),
            ]
        };
        let [mut own, channels_of_added, told] = told(is_told, is_added);
        let by_position = by_position.replace("l->bias", own);
        let known = [("P", "$P"), ("STORED", address.as_str())];
        let (mut each_block, mut after_blocks) = (String::new(), "");
        let mut read = if is_told { "weights" } else { address.as_str() };
        if self.block.is_some() {
            own = "own";
            source.once("blocks", include_str!("blocks.c"));
            source.once("unpackwords", include_str!("unpack_words.c"));
            each_block = fill(include_str!("each_block.c"), &known);
            (after_blocks, read) = (include_str!("after_blocks.c"), "words");
        }
        let pixel_biases = fill(pixel_biases, &[("OWN", own), ("CHANNELS", channels_of_added)]);
        let values = [
            ("EACH_BLOCK", each_block.as_str()),
            ("AFTER_BLOCKS", after_blocks),
            ("PARAMETERS", parameters),
            ("BIASES", biases),
            ("BY_POSITION", &by_position),
            ("TOLD", told),
            ("PIXEL_BIASES", pixel_biases.as_str()),
            ("DRIVER", driver),
            ("WEIGHTS", read),
            ("P", "$P"),
            ("MAX_ROWS", &rows),
        ];
        source.once(driver, fill(include_str!("slide.c"), &values));
        let weights = if self.weights.is_empty() {
            "0".to_owned()
        } else {
            let words = self.weights.iter().copied().map(i64::from);
            source.weights("uint32_t", &format!("{name}_weights"), words)
        };
        let biases = arithmetic.biases(layer);
        let padded = biases
            .chunks_exact(channels)
            .flat_map(|biases| biases.iter().copied().chain((channels % 2 == 1).then_some(0)));
        source.array("int32_t", &format!("{name}_bias"), padded);
        let classes = if layer.has_classes() {
            let classes = layer.bias.row_class.iter().chain(&layer.bias.column_class);
            let classes = classes.map(|&class| i64::from(class));
            source.array("uint8_t", &format!("{name}_classes"), classes);
            format!("{name}_classes")
        } else {
            "0".to_owned()
        };
        if let Some(Block { channels: each, fives }) = self.block {
            let (blocks, bytes) = (channels / each, arithmetic.y_bytes(each));
            let numbers = format!("{blocks}, {each}, {bytes}, {fives}");
            source.object(8, format!("static const $P_blocks {name}_blocks = {{{numbers}}};"));
        }
        if let Some(added) = added {
            source.object(12, format!("static const $P_added {name}_added = {{{added}}};"));
        }
        Shared { weights, classes }
    }

    /// Puts the description of a tile into the file.
    fn plan(
        &self,
        layer: &ConvLayer,
        arithmetic: &Arithmetic,
        (plan, numbers): (&str, &str),
        shared: &Shared,
        source: &mut Source,
    ) {
        let (name, Shared { weights, classes }) = (layer.name, shared);
        let strips: Vec<String> = self
            .strips
            .iter()
            .map(|(strip, pixels, end)| format!("{{$P_{strip}, {end}, {pixels}}}"))
            .collect();
        // Rows of a tile of one column are widened in a way of their own.
        let widen = self.widen.emit(arithmetic.x, source);
        source.object(
            PLAN_BYTES,
            format!(
                "static const $P_sliding {name}_{plan} = {{\n    $P_{widen}, {weights}, \
                 {name}_bias, {classes},\n    {{{}}},\n    {}\n}};",
                strips.join(", "),
                numbers
            ),
        );
    }
}

impl Widen {
    /// The function's kind, for how many instructions it executes.
    fn name(self, x: Storage) -> String {
        let kind = match self {
            _ if x.bits() == 4 => "halves",
            Self::Fours => "fours",
            Self::Pairs => "pairs",
            Self::Each => "each",
            Self::Twice => "twice",
        };
        format!("widen{kind}_{}", x.short())
    }

    /// Puts the function into the file; gives its name without prefix.
    fn emit(self, x: Storage, source: &mut Source) -> String {
        source.once("dsp", include_str!("dsp.c"));
        let short = x.short();
        if let Storage::Packed4 { is_signed } = x {
            let name = format!("widen_each_{short}");
            let extend = if is_signed { " ^ 8) - 8" } else { ")" };
            let values = [("P", "$P"), ("S", short), ("EXTEND", extend)];
            source.once(&name, fill(include_str!("widen_packed.c"), &values));
            return name;
        }
        let (kind, template) = match self {
            Self::Fours => ("fours", include_str!("widen_fours.c")),
            Self::Pairs => ("pairs", include_str!("widen_fours.c")),
            Self::Each => ("each", include_str!("widen_each.c")),
            Self::Twice => ("twice", include_str!("widen_twice.c")),
        };
        let is_unsigned = x == Storage::Whole(Element::U8);
        let extend = if is_unsigned { "uxtb16" } else { "sxtb16" };
        // Bytes 0, 2 and 1, 3 of one word become two words.
        let word = |from: &str, to: &str| match self {
            Self::Pairs => format!(
                "        \"{extend} r12, {from}; {extend} lr, {from}, ror #8; pkhbt {from}, r12, lr, \
                 lsl #16; pkhtb {to}, lr, r12, asr #16\\n\"\n"
            ),
            _ => format!("        \"{extend} {to}, {from}, ror #8; {extend} {from}, {from}\\n\"\n"),
        };
        let block: String = (4..12)
            .step_by(2)
            .map(|register| word(&format!("r{register}"), &format!("r{}", register + 1)))
            .collect();
        let (load, bytes) = match x {
            Storage::Whole(Element::U8) => ("ldrb", "1"),
            Storage::Whole(Element::I16) => ("ldrsh", "2"),
            _ => ("ldrsb", "1"),
        };
        let (order, second, third) = match self {
            Self::Fours => ("0, 2, 1, 3", "2", "1"),
            _ => ("0, 1, 2, 3", "1", "2"),
        };
        let types = match self {
            Self::Fours | Self::Pairs => format!("{kind}_{short}"),
            Self::Each | Self::Twice => short.to_owned(),
        };
        let text = fill(
            template,
            &[
                ("P", "$P"),
                ("S", &types),
                ("X", x.ctype()),
                ("ORDER", order),
                ("BLOCK", block.trim_end()),
                ("LAST", word("r4", "r5").trim_end()),
                ("SECOND", second),
                ("THIRD", third),
                ("LOAD", load),
                ("BYTES", bytes),
            ],
        );
        source.once(&format!("widen_{kind}_{short}"), text);
        format!("widen_{kind}_{short}")
    }
}

/// Instructions for a strip of so many pixels, for each two weights of two channels.
fn cost(pixels: usize) -> usize {
    3 + 3 * pixels
}

/// Columns cut into as few strips as there can be, at most two widths: width and where they end.
fn strips(columns: usize, most: usize) -> Vec<(usize, usize)> {
    let count = columns.div_ceil(most);
    let (width, wider) = (columns / count, columns % count);
    let mut strips = Vec::new();
    if wider > 0 {
        strips.push((width + 1, wider * (width + 1)));
    }
    strips.push((width, columns));
    strips
}

/// The same with an even width but for the last strip.
fn even_strips(columns: usize, most: usize) -> Option<Vec<(usize, usize)>> {
    let width = most / 2 * 2;
    if width == 0 {
        return None;
    }
    let (whole, rest) = (columns / width * width, columns % width);
    let mut strips = Vec::new();
    strips.extend((whole > 0).then_some((width, whole)));
    strips.extend((rest > 0).then_some((rest, columns)));
    Some(strips)
}

/// Pixels of a row where rows do not matter: few instructions, little memory.
fn flat_columns(x: Shape) -> usize {
    let pixels = x.h * x.w;
    let may_be = |&columns: &usize| {
        let small = columns <= 8 || columns == x.w || 2 * columns * x.c <= FLAT_BYTES;
        pixels.is_multiple_of(columns) && small
    };
    // About two more for each row.
    let row = |columns: usize| {
        let strips = strips(columns, MAX_PIXELS);
        let mut from = 0;
        let mut instructions = 2;
        for (width, end) in strips {
            instructions += (end - from) / width * cost(width);
            from = end;
        }
        instructions
    };
    let columns = (1..=pixels.min(64)).chain([x.w]).filter(may_be);
    columns.min_by(|&a, &b| (row(a) * b).cmp(&(row(b) * a)).then(a.cmp(&b))).unwrap_or(x.w)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_few_strips() {
        assert_eq!(strips(12, 4), [(4, 12)]);
        assert_eq!(strips(13, 4), [(4, 4), (3, 13)]);
        assert_eq!(strips(5, 4), [(3, 3), (2, 5)]);
        assert_eq!(strips(1, 4), [(1, 1)]);
        assert_eq!(strips(9, 2), [(2, 8), (1, 9)]);
        assert_eq!(even_strips(7, 4).unwrap(), [(4, 4), (3, 7)]);
        assert_eq!(even_strips(3, 4).unwrap(), [(3, 3)]);
        assert_eq!(even_strips(3, 1), None);
    }

    #[test]
    fn rows_of_single_pixels_are_long_and_small() {
        assert_eq!(flat_columns(Shape::new(12, 12, 64)), 16);
        assert_eq!(flat_columns(Shape::new(1, 1, 5)), 1);
        let columns = flat_columns(Shape::new(7, 7, 512));
        assert_eq!(columns, 7);
    }
}

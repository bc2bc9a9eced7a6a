//! Blocks of channels whose weights have codes: each is decoded once for the rows of a call, and its channels are computed
//! in all tiles.

use super::Arithmetic;
use crate::emit::c::{
    conv::{coded::Coded, layer::ConvLayer},
    source::{Source, fill},
};

/// Bytes of what tells a tile in C.
pub(super) const TILE_BYTES: usize = 12;
/// Bytes of a layer's description in C, beside its tiles.
const DESCRIPTION_BYTES: usize = 24;
/// Bytes of a block's weights, where two channels do not have more.
const MOST: usize = 1280;

/// The weights of a layer in codes.
pub(super) struct Codes {
    coded: Coded,
    /// Channels of a block, and bytes of their weights.
    pub(super) channels: usize,
    pub(super) bytes: usize,
}

/// Where the columns of a tile begin in the values: the name of its plan, and bytes.
pub(super) struct TilePlace {
    pub(super) plan: String,
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) added: usize,
}

impl Codes {
    /// `None` where they take no less than so many bytes, or channels are odd. `weights` gives the weights of each block of
    /// so many channels as kernels read them.
    pub(super) fn of(
        layer: &ConvLayer,
        bytes: usize,
        n_tiles: usize,
        weights: impl Fn(usize) -> Vec<Vec<u32>>,
    ) -> Option<Self> {
        let even = (2..=layer.channels).step_by(2);
        let mut divisors = even.filter(|channels| layer.channels.is_multiple_of(*channels));
        let least = divisors.next()?;
        let each = 4 * weights(least)[0].len() / least;
        let channels = divisors.filter(|channels| channels * each <= MOST).max().unwrap_or(least);
        let words: Vec<u32> = weights(channels).into_iter().flatten().collect();
        let bytes_of_block = 4 * words.len() * channels / layer.channels;
        // 16 bits tell bytes of a row, and of a block.
        let row = 2 * (layer.input.w * layer.input.c).max(layer.output.w * layer.channels);
        if u16::try_from(row.max(bytes_of_block)).is_err() {
            return None;
        }
        let description = DESCRIPTION_BYTES + TILE_BYTES * n_tiles;
        let coded = Coded::of_words(words, bytes.checked_sub(description)?)?;
        Some(Self { coded, channels, bytes: bytes_of_block })
    }

    /// Puts weights, description and what computes the layer into the file; gives the call for its rows.
    pub(super) fn emit(
        &self,
        layer: &ConvLayer,
        arithmetic: &Arithmetic,
        tiles: &[TilePlace],
        rows: &str,
        source: &mut Source,
    ) -> String {
        let name = layer.name;
        let (channels, bytes) = (self.channels, self.bytes);
        let blocks = layer.channels / channels;
        self.coded.store(source, name);
        let is_added = layer.added.is_some();
        let kind = if is_added { "codedadded" } else { "coded" };
        let [parameters, own, call] = if is_added {
            [
                "const $P_added *a, const void *input, const void *added, void *output",
                include_str!("coded_added.c"),
                "$P_slide_added_at(t->plan, &own, (const uint8_t *)input + t->x, from + t->added,",
            ]
        } else {
            [
                "const void *input, void *output",
                "",
                "$P_slide_at(t->plan, (const uint8_t *)input + t->x,",
            ]
        };
        let last = if is_added { ", c->blocks * c->channels" } else { "" };
        let values = [
            ("P", "$P"),
            ("NAME", kind),
            ("PARAMETERS", parameters),
            ("OWN", own),
            ("CALL", call),
            ("LAST", last),
        ];
        source.once("tiles", include_str!("tiles.c"));
        source.once(kind, fill(include_str!("coded.c"), &values));
        let of_tiles: Vec<String> = tiles
            .iter()
            .map(|TilePlace { plan, x, y, added }| format!("{{&{plan}, {x}, {y}, {added}}}"))
            .collect();
        source.object(
            TILE_BYTES * tiles.len(),
            format!(
                "static const $P_tile {name}_tiles[{}] = {{{}}};",
                tiles.len(),
                of_tiles.join(", ")
            ),
        );
        let of_added = layer.added.map_or(0, |added| channels * added.storage.bits() / 8);
        let numbers =
            [tiles.len(), blocks, channels, bytes, arithmetic.y_bytes(channels), of_added];
        let numbers = numbers.map(|number| number.to_string()).join(", ");
        source.object(
            DESCRIPTION_BYTES,
            format!(
                "static const $P_tiles {name}_coded = {{&{name}_code, {name}_bias, {name}_tiles, {numbers}}};"
            ),
        );
        let calls = if layer.flows { layer.output.h } else { 1 };
        self.coded.runs(source, blocks, calls);
        let of_calls = [calls, calls * blocks, calls * blocks * tiles.len()];
        source.runs(kind, &of_calls);
        let added = if is_added { format!("&{name}_added, $X0, $X1") } else { "$X0".to_owned() };
        format!("$P_{kind}(&{name}_coded, {added}, $Y, $SCRATCH, {rows});")
    }
}

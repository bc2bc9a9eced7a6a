//! A Keras file is refused, or its weights have as many elements as their extents need.
#![no_main]

use fixedwise_codec::keras::{self, Hdf5Model, Tensor};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 20;

fn check<'a>(tensors: impl Iterator<Item = &'a Tensor>) {
    for tensor in tensors {
        assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len());
        assert!(tensor.data.len() <= LIMIT / 4);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let _ = keras::read_architecture(bytes);
    match keras::read_h5(bytes, LIMIT) {
        Ok(Hdf5Model::Model(model)) => check(model.layers.iter().flat_map(|l| &l.weights)),
        Ok(Hdf5Model::Weights(weights)) => check(weights.layers.iter().flat_map(|l| &l.tensors)),
        Err(_) => {}
    }
    if let Ok(model) = keras::read_archive(bytes, LIMIT) {
        check(model.layers.iter().flat_map(|l| &l.weights));
    }
});

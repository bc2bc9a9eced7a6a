//! Rows that flow on emulated cores: the executor's integers, in few instructions more than whole layers take.

use fixedwise_graph::{
    Shape,
    emit::c::{self, COptions},
};
use fixedwise_testing::{
    Core, Emitted, fashion_images, integers_of, mobilenet, project, raw_pixel_network, resnet8,
};

#[test]
fn flowing_rows_take_few_instructions_more_than_whole_layers() {
    let small = || raw_pixel_network(&project("models/fashion_small.onnx"));
    let mut above = Vec::new();
    // Percent more.
    for (core, instructions, most) in [
        (Core::CortexM4, c::Core::Dsp, 5),
        (Core::CortexM55, c::Core::Mve, 11),
        (Core::CortexM3, c::Core::Portable, 5),
    ] {
        if !core.is_available() {
            continue;
        }
        for (name, graph) in
            [("fashion_small", small()), ("resnet8", resnet8()), ("mobilenet", mobilenet())]
        {
            let shape: Shape = graph.input_shape();
            let images = fashion_images(1, shape);
            let fixed = integers_of(&graph, &images, |_| [8, 8]);
            let count = |flows: bool| {
                let options = COptions { core: instructions, flows, ..COptions::new("net") };
                let emitted = Emitted::new(core, &fixed, &options, false).unwrap();
                emitted.assert_equals(&fixed, &images)[0]
            };
            let (flowing, whole) = (count(true), count(false));
            if 100 * flowing > (100 + most) * whole {
                above.push(format!("{name}, {}: {flowing}, whole {whole}", core.name()));
            }
        }
    }
    assert!(above.is_empty(), "{above:#?}");
}

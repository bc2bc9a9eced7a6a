//! What a network takes of a device, before there is a plan or a board.

use fixedwise::{Clock, DeviceOptions, Model, device_of_model, read_target};

fn small() -> Model {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/fashion_small.onnx");
    Model::load(path.as_ref()).unwrap()
}

#[test]
fn every_microcontroller_takes_what_its_layers_take() {
    let model = small();
    for name in ["generic", "cortex-m0", "cortex-m4", "cortex-m55", "riscv32"] {
        let clock = Some(Clock { hz: 64_000_000, cycles_per_instruction: 1.5 });
        for bits in [8, 3] {
            let target = read_target(name).unwrap();
            let device = device_of_model(&model, &DeviceOptions { target, bits, clock }).unwrap();
            let layers: u64 = device.layers.iter().map(|layer| layer.instructions).sum();
            assert_eq!(layers + device.schedule_instructions, device.instructions, "{name}");
            // 11.8 million multiply-accumulates.
            let per_mac = device.instructions / 1_180_000;
            let expected = if name == "cortex-m55" { 1..=4 } else { 9..=100 };
            assert!(expected.contains(&per_mac), "{name}, {bits} bits: {per_mac} / 10");
            let clock = device.clock.unwrap();
            let each: f64 = device.layers.iter().filter_map(|layer| layer.milliseconds).sum();
            assert!(each > 0.9 * clock.milliseconds && each <= clock.milliseconds, "{name}");
            // Values, rows and working memory lie there together.
            let peak: u64 = device.peak.iter().map(|part| part.bytes).sum();
            assert!(peak <= device.peak_ram_bytes, "{name}: {peak}");
            assert!(100 * peak > 95 * device.peak_ram_bytes, "{name}: {peak}");
            assert!(device.peak.iter().any(|part| part.rows.is_some()), "{name}");
            // The order has every node once, and as many rows as are held.
            let order: Vec<_> = device.schedule.iter().flat_map(|part| &part.nodes).collect();
            assert!(device.schedule.iter().any(|part| part.flows), "{name}");
            assert_eq!(order.len(), device.layers.len(), "{name}");
            for (node, layer) in order.into_iter().zip(&device.layers) {
                let held = layer.rows.unwrap_or(node.height);
                assert_eq!((&node.name, node.rows), (&layer.name, held), "{name}");
                assert!(layer.weight_bits.is_none_or(|of| of == bits), "{name}");
            }
            let json = serde_json::to_string(&device).unwrap();
            assert_eq!(
                serde_json::from_str::<fixedwise::DeviceResult>(&json).unwrap().bits,
                Some(bits)
            );
        }
    }
}

/// A core that runs the kernels of another one.
#[test]
fn kernels_that_were_not_measured_are_named() {
    let device = |cpu: &str| {
        let mut target = read_target("cortex-m4").unwrap();
        target.cpu = fixedwise::Cpu::ALL.into_iter().find(|other| other.name() == cpu);
        let options = DeviceOptions { target, bits: 4, clock: None };
        device_of_model(&small(), &options).unwrap()
    };
    assert!(device("cortex-m4").uncounted.is_empty());
    let found = device("cortex-m0");
    assert!(found.uncounted.contains(&"slide".to_owned()), "{:?}", found.uncounted);
}

#[test]
fn what_has_no_code_or_no_width_is_refused() {
    let refused = |name: &str, bits: u8| {
        let target = read_target(name).unwrap();
        let options = DeviceOptions { target, bits, clock: None };
        device_of_model(&small(), &options).unwrap_err().to_string()
    };
    assert!(refused("fpga", 8).contains("does not run C"));
    assert!(refused("cortex-m4", 9).contains("a width from 2 to 8"));
}

//! What arXiv 2102.02147 and its code report, for the networks whose weights can be had.

/// A network of the paper.
pub(super) struct Network {
    /// Its file is `NAME.onnx`.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// Name of the data set's file or folder.
    pub(super) data: &'static str,
    pub(super) preprocess: &'static str,
    /// What is known of its joint search; the small networks were never published.
    pub(super) joint: Option<Joint>,
    /// Whether the check on quarters was made with it.
    pub(super) has_quarters: bool,
}

/// A published joint search; all losses and reductions in percent.
pub(super) struct Joint {
    pub(super) float_correct: u32,
    pub(super) loss: f64,
    pub(super) uniform8_loss: f64,
    /// As printed, and with bit widths and sizes paired by layer.
    pub(super) memory: [f64; 2],
    /// As printed, and with bit widths and sizes paired by layer.
    pub(super) multiplications: [f64; 2],
    /// Of it and of its start configurations.
    pub(super) evaluations: u32,
}

const PIXELS: &str = "scale=1/255";
const RESIZED: &str = "scale=1/255,resize=96x96";

pub(super) const NETWORKS: [Network; 6] = [
    Network {
        name: "seq_small_mnist",
        title: "Sequential small, MNIST",
        data: "mnist",
        preprocess: PIXELS,
        joint: None,
        has_quarters: false,
    },
    Network {
        name: "seq_small_fashion",
        title: "Sequential small, Fashion-MNIST",
        data: "fashion_mnist",
        preprocess: PIXELS,
        joint: None,
        has_quarters: false,
    },
    Network {
        name: "seq_large_mnist",
        title: "Sequential large, MNIST",
        data: "mnist",
        preprocess: PIXELS,
        joint: Some(Joint {
            float_correct: 9950,
            loss: 0.985,
            uniform8_loss: -0.010,
            memory: [62.72, 62.72],
            multiplications: [84.94, 84.94],
            evaluations: 713,
        }),
        has_quarters: true,
    },
    Network {
        name: "seq_large_fashion",
        title: "Sequential large, Fashion-MNIST",
        data: "fashion_mnist",
        preprocess: PIXELS,
        joint: Some(Joint {
            float_correct: 9247,
            loss: 0.908,
            uniform8_loss: 0.195,
            memory: [52.64, 52.64],
            multiplications: [70.18, 70.18],
            evaluations: 687,
        }),
        has_quarters: false,
    },
    Network {
        name: "inception_mnist",
        title: "Inception, MNIST",
        data: "mnist",
        preprocess: RESIZED,
        joint: Some(Joint {
            float_correct: 9808,
            loss: 0.989,
            uniform8_loss: 0.010,
            memory: [57.34, 54.48],
            multiplications: [87.07, 79.92],
            evaluations: 1095,
        }),
        has_quarters: false,
    },
    Network {
        name: "inception_fashion",
        title: "Inception, Fashion-MNIST",
        data: "fashion_mnist",
        preprocess: RESIZED,
        joint: Some(Joint {
            float_correct: 9106,
            loss: 0.966,
            uniform8_loss: 0.615,
            memory: [56.99, 51.25],
            multiplications: [85.23, 76.75],
            evaluations: 1059,
        }),
        has_quarters: false,
    },
];

/// The network whose search the original was timed on, its minutes, and its seconds for one
/// evaluation: the paper's code in Keras 3 on two cores.
pub(super) const TIMED: (&str, f64, f64) = ("seq_large_fashion", 80.0, 7.0);

/// Accuracy in percent on the quarters of MNIST's test images, tuned on the given one; float first.
pub(super) const QUARTERS_FLOAT: [f64; 4] = [99.12, 99.40, 99.72, 99.76];
pub(super) const QUARTERS: [(usize, [f64; 4]); 2] =
    [(1, [98.16, 98.32, 99.20, 99.00]), (3, [96.04, 97.16, 98.92, 98.80])];

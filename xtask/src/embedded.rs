//! Compilers and emulators for the tests of generated C, and a browser for those of the report.

use std::process::{Command, Stdio};

/// What the tests run, and the Debian package that has it.
const TOOLS: [(&str, &str); 10] = [
    ("cc", "gcc"),
    ("g++", "g++"),
    ("make", "make"),
    ("clang", "clang"),
    ("timeout", "coreutils"),
    ("arm-none-eabi-gcc", "gcc-arm-none-eabi"),
    ("qemu-system-arm", "qemu-system-arm"),
    ("riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf"),
    ("qemu-system-riscv32", "qemu-system-misc"),
    ("chromium-headless-shell", "chromium-headless-shell"),
];

/// Installs what lacks where that is possible: as root, where there is `apt-get`.
///
/// # Errors
/// What still lacks, and how to get it.
pub(crate) fn prepare() -> Result<(), String> {
    let lacking = lacking();
    if lacking.is_empty() {
        return Ok(());
    }
    let packages = lacking.join(" ");
    let advice = format!("install them with `apt-get install {packages}`");
    let is_root = said("id", &["-u"]).is_some_and(|user| user.trim() == "0");
    if !is_root || said("apt-get", &["--version"]).is_none() {
        return Err(advice);
    }
    println!("apt-get install {packages}");
    // Without an up-to-date list the second may still find the packages.
    let _ = apt_get(&["update"]);
    let install = [&["install", "--yes", "--no-install-recommends"], &lacking[..]].concat();
    apt_get(&install).map_err(|why| format!("{advice}; {why}"))?;
    if self::lacking().is_empty() { Ok(()) } else { Err(advice) }
}

/// The packages of the tools that cannot be started.
fn lacking() -> Vec<&'static str> {
    let lacks = |tool: &str| said(tool, &["--version"]).is_none();
    TOOLS.into_iter().filter(|(tool, _)| lacks(tool)).map(|(_, package)| package).collect()
}

fn apt_get(args: &[&str]) -> Result<(), String> {
    let output = Command::new("apt-get")
        .arg("--quiet=2")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`apt-get`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("`apt-get {}`: {}", args[0], errors.lines().last().unwrap_or("failed")))
}

/// What a program prints, where it can be started.
fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

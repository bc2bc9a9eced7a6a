//! An export of C, as a table.

use super::{
    device,
    numbers::grouped,
    report::Section,
    text::{TextOptions, text},
};
use crate::result::CExported;

impl CExported {
    /// As a table for people.
    pub fn summary(&self, options: &TextOptions) -> String {
        let table = device::table(&self.layers, self.clock.as_ref());
        let (flash, ram) = (grouped(self.flash_bytes), grouped(self.peak_ram_bytes));
        let mut notes = vec![format!("C for {}", self.target)];
        if let Some(code) = &self.code {
            notes.push(format!(
                "flash: {flash} bytes = {} of constants + {} of code",
                grouped(self.constant_bytes),
                grouped(code.bytes)
            ));
            let sizes = self.code_bytes.iter();
            let sizes: Vec<String> =
                sizes.map(|(flag, bytes)| format!("{} with {flag}", grouped(*bytes))).collect();
            notes.push(format!(
                "code: {} kernels{}; {}",
                code.kernels,
                code.why(),
                sizes.join(", ")
            ));
            notes.push(format!("as {} makes it for {}", code.compiler, code.processor));
        }
        if let Some(bytes) = self.weight_file_bytes {
            let name = &self.name;
            notes.push(format!(
                "weights: {} bytes in {name}.weights, not included; {name}_load takes them where you place them",
                grouped(bytes)
            ));
        }
        notes.push(format!("RAM: {ram} bytes of arena; not included: stack, input and output"));
        notes.extend(device::peak(&self.peak));
        if let Some(code) = &self.code {
            let counts = (self.instructions, self.schedule_instructions);
            notes.push(device::instructions(counts, &code.processor, self.clock.as_ref()));
            notes.extend(device::uncounted(&self.uncounted, &code.processor));
        }
        notes.push(format!("input: {}", self.preprocessing.to_text()));
        let order = device::order(&self.schedule);
        let notes = notes.into_iter().map(Into::into).chain([order]).collect();
        let section = Section { table: Some(table), notes, ..Section::default() };
        text(&[section], options)
    }
}

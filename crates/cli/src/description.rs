//! What commands there are and what they take, as plain data: for interfaces that offer the same.

use crate::Cli;
use clap::{Arg, ArgAction, CommandFactory as _};

/// A command, or one form of it such as `export c`.
#[derive(Clone, Debug)]
pub struct Command {
    /// Its words on the command line.
    pub words: Vec<String>,
    /// What it does.
    pub about: String,
    /// What it takes, in the order of its help.
    pub parameters: Vec<Parameter>,
}

/// Something that a command takes.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub struct Parameter {
    /// What stands behind `--`; of a positional argument, its name in lower case.
    pub name: String,
    /// What it is.
    pub help: String,
    /// How help calls its value, such as `DATA` or `FILE`.
    pub value_name: String,
    /// Whether it has its place instead of a name.
    pub is_positional: bool,
    /// Whether a command needs it.
    pub is_required: bool,
    /// Whether it has no value.
    pub is_flag: bool,
    /// Whether it may have several values.
    pub is_list: bool,
    /// Between several values; nothing where each has its own `--name`.
    pub delimiter: Option<char>,
    /// What it is where it is not given, as on the command line.
    pub default: Option<String>,
    /// The words that it may be, where there are only some.
    pub choices: Vec<String>,
}

/// Every command and every form of one; what help leaves out is left out.
pub fn commands() -> Vec<Command> {
    let mut cli = Cli::command();
    cli.build();
    let mut found = Vec::new();
    for command in cli.get_subcommands() {
        describe(command, &[], &mut found);
    }
    found
}

fn describe(command: &clap::Command, before: &[String], found: &mut Vec<Command>) {
    if command.get_name() == "help" {
        return;
    }
    let words = [before, &[command.get_name().to_owned()]].concat();
    if command.has_subcommands() {
        command.get_subcommands().for_each(|form| describe(form, &words, found));
        return;
    }
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let is_shown = |argument: &&Arg| {
        !argument.is_hide_set()
            && !matches!(
                argument.get_action(),
                ArgAction::Help | ArgAction::HelpLong | ArgAction::HelpShort | ArgAction::Version
            )
    };
    let parameters = command.get_arguments().filter(is_shown).map(parameter).collect();
    found.push(Command { words, about, parameters });
}

fn parameter(argument: &Arg) -> Parameter {
    let id = argument.get_id().as_str();
    let help = argument.get_long_help().or(argument.get_help());
    let is_several = argument.get_num_args().is_some_and(|range| range.max_values() > 1);
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let delimiter = argument.get_value_delimiter();
    Parameter {
        name: argument.get_long().unwrap_or(id).to_owned(),
        help: help.map(ToString::to_string).unwrap_or_default(),
        value_name: argument
            .get_value_names()
            .and_then(|names| names.first())
            .map(ToString::to_string)
            .unwrap_or_default(),
        is_positional: argument.is_positional(),
        is_required: argument.is_required_set(),
        is_flag: !argument.get_action().takes_values(),
        is_list: matches!(argument.get_action(), ArgAction::Append) || is_several,
        delimiter,
        default: (argument.get_action().takes_values() && !defaults.is_empty())
            .then(|| defaults.join(&delimiter.map(String::from).unwrap_or_default())),
        choices: argument
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set() && argument.get_action().takes_values())
            .map(|value| value.get_name().to_owned())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_say_what_they_take() {
        let commands = commands();
        let of = |words: &str| {
            let found = commands.iter().find(|command| command.words.join(" ") == words);
            found.unwrap_or_else(|| panic!("no command {words}"))
        };
        let parameter = |words: &str, name: &str| {
            let found = of(words).parameters.iter().find(|parameter| parameter.name == name);
            found.unwrap_or_else(|| panic!("no {name} of {words}")).clone()
        };
        assert!(of("inspect").about.starts_with("Shows a model"));
        assert!(parameter("quantize", "model").is_positional);
        assert_eq!(parameter("quantize", "max-loss").default.as_deref(), Some("1%"));
        assert!(parameter("quantize", "strategy").choices.contains(&"pareto".to_owned()));
        assert!(parameter("quantize", "resume").is_flag);
        assert!(parameter("quantize", "keep").is_list);
        assert_eq!(parameter("quantize", "emit").delimiter, Some(','));
        assert_eq!(parameter("plot all", "format").default.as_deref(), Some("svg,png"));
        assert!(parameter("export c", "plan").is_required);
        // Options of a search have no effect on a refit.
        assert!(of("refit").parameters.iter().all(|parameter| parameter.name != "strategy"));
    }
}

//! Which of a network's inputs a preprocessing is for.

use super::{Preprocess, wrong};
use crate::{error::DataError, names::InputNames};

impl Preprocess {
    /// What each input is fed, in the order of the names. What is said without a name is for the only input; of
    /// several, the order of axes and that pixels stay as they are may be said for all.
    ///
    /// # Errors
    /// [`DataError::Preprocess`] where a name is of no input, and where it is open which input is meant.
    pub(crate) fn for_inputs(&self, names: &[&str]) -> Result<Vec<Self>, DataError> {
        let refuse = |problem: String| Err(wrong(&self.to_string(), problem));
        let common = Self { inputs: Vec::new(), ..self.clone() };
        let is_of_all = !common.has_numbers() || common.scale == Some(1.0) && common.is_identity();
        if names.len() > 1 && (!is_of_all || common.resize.is_some()) {
            let (all, first) = (quoted(names), names[0]);
            return refuse(format!(
                "the network has the inputs {all}: put the name of the one that is meant before its keys, \
                 `{first}:scale=1/255`"
            ));
        }
        let known = InputNames::new(names);
        let mut inputs = vec![common; names.len()];
        let mut seen = vec![false; names.len()];
        for (name, own) in &self.inputs {
            let Some(input) = known.find(name) else {
                return refuse(format!("no input is named `{name}`; {}", known.told()));
            };
            if std::mem::replace(&mut seen[input], true) {
                return refuse(format!("the input `{}` is named twice", names[input]));
            }
            let common = std::mem::take(&mut inputs[input]);
            let or = |own: &[f64], common: Vec<f64>| {
                if own.is_empty() { common } else { own.to_vec() }
            };
            inputs[input] = Self {
                scale: own.scale.or(common.scale),
                mean: or(&own.mean, common.mean),
                std: or(&own.std, common.std),
                layout: own.layout.or(common.layout),
                resize: own.resize.or(common.resize),
                inputs: Vec::new(),
            };
        }
        Ok(inputs)
    }

    /// What says of each input what it is fed; of the only one, without its name.
    pub(crate) fn of_inputs(names: &[&str], mut inputs: Vec<Self>) -> Self {
        if inputs.len() == 1 {
            return inputs.remove(0);
        }
        let inputs = names.iter().map(|name| (*name).to_owned()).zip(inputs).collect();
        Self { inputs, ..Self::default() }
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_gets_what_is_said_of_it() {
        let names = ["images:0", "pose"];
        let of = |text: &str, names: &[&str]| {
            let preprocess: Preprocess = text.parse().unwrap();
            assert_eq!(preprocess.to_string().parse::<Preprocess>().unwrap(), preprocess, "{text}");
            let inputs = preprocess.for_inputs(names).map_err(|error| error.to_string())?;
            Ok::<_, String>(inputs.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        for (text, expected) in [
            ("", ["", ""]),
            ("none", ["scale=1", "scale=1"]),
            ("layout=nchw,pose:none", ["layout=nchw", "scale=1,layout=nchw"]),
            ("images_0:scale=1/255,mean=0.5,pose:std=2", ["scale=1/255,mean=0.5", "std=2"]),
            ("pose:std=2,images:0:mean=1;2,resize=9x9", ["mean=1;2,resize=9x9", "std=2"]),
            ("pose:std=2,images_0:none,pose:mean=1", ["scale=1", "mean=1,std=2"]),
        ] {
            assert_eq!(of(text, &names).unwrap(), expected, "{text}");
        }
        for (text, problem) in [
            ("scale=1/255", "the network has the inputs `images:0`, `pose`: put the name"),
            ("resize=9x9", "put the name"),
            ("poze:none", "no input is named `poze`; the inputs are `images:0`, `pose`"),
        ] {
            let error = of(text, &names).unwrap_err();
            assert!(error.contains(problem), "expected {problem:?}, got: {error}");
        }
        assert_eq!(of("scale=2,image:mean=1", &["image"]).unwrap(), ["scale=2,mean=1"]);
        let one: Preprocess = "scale=2".parse().unwrap();
        assert_eq!(Preprocess::of_inputs(&["a"], vec![one.clone()]), one);
        let both = Preprocess::of_inputs(&["a,b", "c"], vec![one.clone(), one]);
        assert_eq!(both.to_string(), "a_b:scale=2,c:scale=2");
        assert_eq!(both.for_inputs(&["a,b", "c"]).unwrap().len(), 2);
    }
}

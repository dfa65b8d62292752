//! The models of `serve`: those of `--model`, and those of the tables.

use super::{ConfigError, ModelArgs, ModelSpec, ModelTable, ServeArgs};

impl ServeArgs {
    /// The models of `--model` and of the tables. The embedded model, if there are neither and there is no
    /// repository.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with all invalid settings.
    pub fn specs(&self) -> Result<Vec<ModelSpec>, ConfigError> {
        let embedded = [self.model.model.clone()];
        let is_empty = self.named_models.is_empty()
            && self.model_tables.is_empty()
            && self.models.model_repository.is_none();
        let options = if is_empty { &embedded[..] } else { &self.named_models[..] };
        ModelSpec::all(options, &self.model_tables, &self.model)
    }
}

impl ModelSpec {
    /// The models of the options and the tables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with all invalid settings.
    pub fn all(
        options: &[String],
        tables: &[ModelTable],
        base: &ModelArgs,
    ) -> Result<Vec<Self>, ConfigError> {
        let of_options = options.iter().map(|typed| Self::of_option(typed, base));
        let of_tables = tables.iter().map(|table| table.spec(base));
        let (mut specs, mut wrong) = (Vec::new(), Vec::new());
        for spec in of_options.chain(of_tables) {
            match spec {
                Ok(spec) => specs.push(spec),
                Err(ConfigError(more)) => wrong.extend(more),
            }
        }
        if specs.iter().filter(|spec| spec.is_default).count() > 1 {
            wrong.push("more than one [[model]] has default = true; keep one".to_owned());
        }
        wrong.extend(shadows_of_shadows(&specs));
        if wrong.is_empty() { Ok(specs) } else { Err(ConfigError(wrong)) }
    }
}

/// Rejects shadows that have a shadow, because those would compare images of a comparison.
fn shadows_of_shadows(specs: &[ModelSpec]) -> Option<String> {
    let shadow = |spec: &ModelSpec| spec.policy.shadow.as_ref().map(|plan| plan.model.clone());
    let compared: Vec<_> = specs.iter().filter_map(shadow).collect();
    let name = |spec: &ModelSpec| spec.name.clone().unwrap_or_else(|| spec.args.model.clone());
    let both =
        specs.iter().find(|spec| shadow(spec).is_some() && compared.contains(&name(spec)))?;
    Some(format!("the model {:?} is a shadow and has a shadow; remove one of the two", name(both)))
}

//! The models of `resnetd serve`, from options, configuration file and repository.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};

use super::config_file;
use super::loader::{Loader, source};
use crate::config::{ModelControl, ModelSpec, ServeArgs};
use crate::registry::repository::{Settled, SettledFiles, fingerprint, scan};
use crate::registry::{Control, LoadWhen, ModelSources, Registry, Source, Version};

/// Loads the models that are needed at the start, and returns the control of all models.
///
/// If a model of `--model` or `[[model]]` cannot be loaded, the server does not start; those with another `load` than
/// `now` are not loaded here. A model of the repository is skipped with an error in the log, unless it is required, as the
/// default model is. With `--model-control explicit`, required models may be missing, too.
pub(super) fn load(
    args: &ServeArgs,
    loader: &Arc<Loader>,
    registry: &Arc<Registry>,
) -> Result<Control> {
    let origins = origins(args, loader);
    let limit = args.models.model_memory_limit.map(|limit| limit.as_u64());
    let control = Control::new(Arc::clone(registry), origins, limit, Arc::clone(&loader.metrics));
    let (mut default, mut required) = (None, BTreeSet::new());
    for spec in &loader.config.models {
        let mut name = spec.name.clone();
        if spec.load == LoadWhen::Now {
            let files = files_of(spec);
            let served = loader.load(spec)?;
            name = Some(served.name().to_owned());
            if registry.versions(served.name()).contains(&spec.version) {
                bail!(
                    "two models are named {:?}; give each its own name, as in --model NAME={}",
                    served.name(),
                    spec.args.model
                );
            }
            control.adopt(source(loader, spec.clone(), files), served);
        }
        if spec.is_required {
            required.extend(name.clone());
        }
        if spec.is_default || default.is_none() {
            default = name;
        }
    }
    control.refresh()?;
    let missing = args.models.load_models.iter().find(|name| !registry.knows(name));
    if let Some(name) = missing {
        let all = registry.names().join(", ");
        bail!("--load-model {name}: there is no such model; the models are {all}");
    }
    set_default(registry, args.models.default_model.clone().or(default))?;
    registry.set_required(required);
    if let Some(missing) = registry.required().into_iter().find_map(Result::err)
        && args.models.model_control != ModelControl::Explicit
    {
        bail!("{missing}");
    }
    Ok(control)
}

/// Lists and creates the sources of all models.
fn origins(args: &ServeArgs, loader: &Arc<Loader>) -> ModelSources {
    let listed = {
        let (args, loader) = (args.clone(), Arc::clone(loader));
        let scans = Scans::default();
        Box::new(move || sources(&args, &loader, &scans))
    };
    let (base, loader) = (args.model.clone(), Arc::clone(loader));
    let at = Box::new(move |name: &str, path: &str| {
        let files = fingerprint(Path::new(path));
        let files = files.map_err(|error| format!("{path} cannot be read: {error}"))?;
        let spec = ModelSpec::in_repository(name, Version::only(), path.to_owned(), &base);
        Ok(source(&loader, spec.map_err(|error| error.to_string())?, files))
    });
    ModelSources { listed, at }
}

/// Results of earlier scans, with which `--model-control poll` recognises files that are still being written.
#[derive(Default)]
struct Scans {
    repository: Mutex<Settled>,
    files: Mutex<SettledFiles>,
}

/// Sets the default model: `named`, or the only model.
fn set_default(registry: &Registry, named: Option<String>) -> Result<()> {
    let mut all = registry.names();
    if let Some(name) = named.as_ref().filter(|name| !all.contains(name)) {
        let all = if all.is_empty() { "there are none".to_owned() } else { all.join(", ") };
        bail!(
            "the default model {name:?} is not among the models: {all}; name one with --default-model, or with \
             default = true in a [[model]] table"
        );
    }
    let only = if all.len() == 1 { all.pop() } else { None };
    registry.set_default(named.or(only));
    Ok(())
}

/// The current sources.
fn sources(args: &ServeArgs, loader: &Arc<Loader>, scans: &Scans) -> Result<Vec<Source>, String> {
    let mut args = args.clone();
    if let Some(path) = &args.config {
        args.model_tables = config_file::tables(path)?;
    }
    let specs = args.specs().map_err(|error| error.to_string())?;
    let mut all: Vec<_> = specs
        .into_iter()
        .map(|spec| {
            let now = files_of(&spec);
            let files = match args.models.model_control {
                ModelControl::Poll => lock(&scans.files).update(&spec.args.model, now),
                ModelControl::None | ModelControl::Explicit => now,
            };
            source(loader, spec, files)
        })
        .collect();
    all.extend(in_repository(&args, loader, &scans.repository)?);
    Ok(all)
}

/// Each scan is recorded at once, so a poisoned lock is ignored.
fn lock<T>(scans: &Mutex<T>) -> MutexGuard<'_, T> {
    scans.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The fingerprint of a model's files: the file or folder itself, the card and the external data beside a file, and
/// the file of `--labels`. It does not change for an embedded model or one on the hub.
fn files_of(spec: &ModelSpec) -> u64 {
    let model = Path::new(&spec.args.model);
    let data = |ending| Some(PathBuf::from(format!("{}{ending}", spec.args.model)));
    let files = [
        Some(model.to_owned()),
        Some(model.with_extension("toml")),
        data(".data"),
        data("_data"),
        spec.args.labels.clone(),
    ];
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.and_then(|file| fingerprint(&file).ok()).hash(&mut hasher);
    }
    hasher.finish()
}

fn in_repository(
    args: &ServeArgs,
    loader: &Arc<Loader>,
    settled: &Mutex<Settled>,
) -> Result<Vec<Source>, String> {
    let models = &args.models;
    let Some(folder) = &models.model_repository else { return Ok(Vec::new()) };
    let found = scan(folder, models.repository_versions)
        .map_err(|error| format!("--model-repository {}: {error}", folder.display()))?;
    let found = match models.model_control {
        ModelControl::Poll => lock(settled).update(found),
        ModelControl::None | ModelControl::Explicit => found,
    };
    let mut all = Vec::new();
    for found in found {
        let folder = found.folder.to_str();
        let folder = folder.ok_or_else(|| format!("{} is not UTF-8", found.folder.display()))?;
        let spec =
            ModelSpec::in_repository(&found.name, found.version, folder.to_owned(), &args.model)
                .map_err(|error| error.to_string())?;
        let load = match models.model_control {
            ModelControl::Explicit if !models.load_models.contains(&found.name) => {
                LoadWhen::Explicit
            }
            ModelControl::None | ModelControl::Poll | ModelControl::Explicit => LoadWhen::Now,
        };
        all.push(source(loader, ModelSpec { load, ..spec }, found.fingerprint));
    }
    Ok(all)
}

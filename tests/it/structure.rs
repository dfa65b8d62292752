//! Dependencies between modules, names of types, and parameters of functions, from the parsed sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// A module's path below the crate, such as `["pipeline", "queue", "job"]`.
type ModulePath = Vec<String>;

/// A source file: modules and items that it uses, and what it declares. Tests are omitted.
#[derive(Default)]
struct Source {
    is_folder: bool,
    uses: Vec<ModulePath>,
    /// Of a folder: names that it has from its modules, with their module.
    exports: BTreeMap<String, ModulePath>,
    uses_anyhow: bool,
    types: Vec<String>,
    functions: Vec<Function>,
}

/// A function or method, except methods of an `impl Trait for`, whose parameters the trait determines.
struct Function {
    name: String,
    takes_tuple: bool,
    takes_bool: bool,
}

#[test]
fn modules_use_only_modules_that_are_declared_before_them() {
    let order: Vec<String> = modules_in_order();
    let place = |name: &str| order.iter().position(|module| module == name);
    let mut arrows = 0;
    for (path, source) in sources() {
        for used in &source.uses {
            let (Some(from), Some(to)) = (place(&path[0]), place(&used[0])) else { continue };
            assert!(
                to <= from,
                "{} uses {}, which src/lib.rs declares after {}",
                path.join("/"),
                used.join("::"),
                path[0],
            );
            arrows += usize::from(to < from);
        }
    }
    assert!(arrows > 100, "uses are found: {arrows}");
}

#[test]
fn no_file_uses_itself_indirectly() {
    let sources = sources();
    let files: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> = sources
        .iter()
        .filter(|(_, source)| !source.is_folder)
        .map(|(path, source)| {
            let file = |used: &ModulePath| {
                let ends = (1..=used.len()).rev();
                let mut files = ends.filter_map(|end| sources.get_key_value(&used[..end]));
                files.next().filter(|(_, used)| !used.is_folder).map(|(path, _)| path)
            };
            (path, source.uses.iter().filter_map(file).filter(|used| *used != path).collect())
        })
        .collect();
    assert!(files.values().map(BTreeSet::len).sum::<usize>() > 200, "uses are found");
    for path in files.keys() {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&ModulePath> = files[path].iter().copied().collect();
        while let Some(used) = next.pop() {
            assert!(used != *path, "{} uses itself through {reached:?}", path.join("/"));
            if reached.insert(used) {
                next.extend(&files[used]);
            }
        }
    }
}

#[test]
fn no_two_modules_of_a_folder_use_each_other() {
    let mut arrows: BTreeSet<(ModulePath, String, String)> = BTreeSet::new();
    for (path, source) in sources() {
        for used in &source.uses {
            let shared = path.iter().zip(used).take_while(|(own, other)| own == other).count();
            if let (Some(from), Some(to)) = (path.get(shared), used.get(shared)) {
                arrows.insert((path[..shared].to_vec(), from.clone(), to.clone()));
            }
        }
    }
    assert!(arrows.len() > 300, "uses are found: {}", arrows.len());
    let circles: Vec<String> = arrows
        .iter()
        .filter(|(folder, from, to)| {
            from < to && arrows.contains(&(folder.clone(), to.clone(), from.clone()))
        })
        .map(|(folder, from, to)| format!("{}: {from} and {to} use each other", folder.join("/")))
        .collect();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn a_name_means_one_type() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, source) in sources() {
        let file = path.join("/");
        for name in source.types {
            places.entry(name).or_default().push(file.clone());
        }
    }
    assert!(places.len() > 300, "types are found: {}", places.len());
    let repeated: Vec<String> = places
        .iter()
        .filter(|(_, places)| places.len() > 1)
        .map(|(name, places)| format!("{name} is declared in {}", places.join(", ")))
        .collect();
    assert!(repeated.is_empty(), "{}", repeated.join("\n"));
}

#[test]
fn no_function_takes_a_tuple_or_a_bool() {
    let mut checked = 0;
    let mut found = Vec::new();
    for (path, source) in sources() {
        let file = path.join("/");
        for Function { name, takes_tuple, takes_bool } in source.functions {
            checked += 1;
            if takes_tuple {
                found.push(format!("{file}: {name} takes a tuple; give the group a name"));
            }
            if takes_bool {
                found.push(format!("{file}: {name} takes a bool; use an enum or two functions"));
            }
        }
    }
    assert!(checked > 1000, "functions are found: {checked}");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn only_commands_use_anyhow() {
    let (commands, library): (Vec<_>, Vec<_>) = sources()
        .into_iter()
        .filter(|(_, source)| source.uses_anyhow)
        .map(|(path, _)| path.join("/"))
        .partition(|file| file.starts_with("cli"));
    assert!(!commands.is_empty(), "uses are found");
    assert!(library.is_empty(), "{library:?} use anyhow; use an error type");
}

/// Whether the parameter is a tuple of two or more, or a reference to one.
fn is_tuple(parameter: &syn::PatType) -> bool {
    matches!(behind_references(&parameter.ty), syn::Type::Tuple(tuple) if tuple.elems.len() > 1)
}

fn is_bool(parameter: &syn::PatType) -> bool {
    matches!(behind_references(&parameter.ty), syn::Type::Path(path) if path.path.is_ident("bool"))
}

fn behind_references(mut of: &syn::Type) -> &syn::Type {
    while let syn::Type::Reference(reference) = of {
        of = &reference.elem;
    }
    of
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The modules of the crate, as `src/lib.rs` declares them.
fn modules_in_order() -> Vec<String> {
    let text = fs::read_to_string(root().join("lib.rs")).unwrap();
    let items = syn::parse_file(&text).unwrap().items;
    items
        .iter()
        .filter_map(|item| if let Item::Mod(module) = item { Some(&module.ident) } else { None })
        .map(ToString::to_string)
        .collect()
}

/// All source files by module path.
fn sources() -> BTreeMap<ModulePath, Source> {
    let mut sources = BTreeMap::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs")
                && !name.ends_with("tests")
                && !matches!(name, "lib" | "main")
            {
                let below = path.strip_prefix(root()).unwrap().with_extension("");
                let mut module: ModulePath =
                    below.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
                let is_folder = module.last().is_some_and(|last| last == "mod");
                if is_folder {
                    module.pop();
                }
                let text = fs::read_to_string(&path).unwrap();
                let mut reader = Reader {
                    module: module.clone(),
                    source: Source { is_folder, ..Source::default() },
                };
                reader.visit_file(&syn::parse_file(&text).unwrap());
                sources.insert(module, reader.source);
            }
        }
    }
    let resolved: Vec<Vec<ModulePath>> = sources
        .values()
        .map(|source| source.uses.iter().map(|used| declared(&sources, used)).collect())
        .collect();
    for (source, uses) in sources.values_mut().zip(resolved) {
        source.uses = uses;
    }
    sources
}

/// The path of a used item in the module that declares it, if a folder exports it under another path.
fn declared(sources: &BTreeMap<ModulePath, Source>, used: &ModulePath) -> ModulePath {
    let mut used = used.clone();
    loop {
        let Some(end) = (1..=used.len()).rev().find(|&end| sources.contains_key(&used[..end]))
        else {
            return used;
        };
        let module = used.get(end).and_then(|name| sources[&used[..end]].exports.get(name));
        let Some(module) = module.filter(|module| sources.contains_key(*module)) else {
            return used;
        };
        used = [&module[..], &used[end..]].concat();
    }
}

/// Collects what a file uses and declares.
struct Reader {
    module: ModulePath,
    source: Source,
}

impl Reader {
    /// Adds `path`, as written in this file, if it is a path in this crate.
    fn add(&mut self, mut path: &[String]) {
        let mut base = match path.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            Some("anyhow") => return self.source.uses_anyhow = true,
            _ => return,
        };
        while let Some((first, rest)) = path.split_first() {
            match first.as_str() {
                "super" => drop(base.pop()),
                "crate" | "self" => {}
                _ => break,
            }
            path = rest;
        }
        base.extend_from_slice(path);
        if !base.is_empty() {
            self.source.uses.push(base);
        }
    }

    fn add_function(&mut self, signature: &syn::Signature) {
        let parameters = || {
            signature.inputs.iter().filter_map(|parameter| match parameter {
                syn::FnArg::Typed(parameter) => Some(parameter),
                syn::FnArg::Receiver(_) => None,
            })
        };
        self.source.functions.push(Function {
            name: signature.ident.to_string(),
            takes_tuple: parameters().any(is_tuple),
            takes_bool: parameters().any(is_bool),
        });
    }

    fn add_tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            UseTree::Name(name) => {
                let path = with(&name.ident);
                if self.source.is_folder {
                    let module = [&self.module[..], before].concat();
                    self.source.exports.insert(name.ident.to_string(), module);
                }
                self.add(&path);
            }
            UseTree::Rename(name) => self.add(&with(&name.ident)),
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_tree(before, tree));
            }
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            self.add_function(&item.sig);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_for_tests(&item.attrs) {
            for item in item.items.iter().filter(|_| item.trait_.is_none()) {
                if let syn::ImplItem::Fn(method) = item {
                    self.add_function(&method.sig);
                }
            }
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, method: &'ast syn::TraitItemFn) {
        self.add_function(&method.sig);
        visit::visit_trait_item_fn(self, method);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.add_tree(&[], &item.tree);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.source.types.push(item.ident.to_string());
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.source.types.push(item.ident.to_string());
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.source.types.push(item.ident.to_string());
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.source.types.push(item.ident.to_string());
        visit::visit_item_type(self, item);
    }

    /// Paths in the arguments of macros, which are not parsed as syntax.
    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let text = item.tokens.to_string().replace(" ::", "::").replace(":: ", "::");
        let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        for path in text.split(|c| !is_of_path(c)).filter(|path| path.contains("::")) {
            let parts: Vec<String> = path.split("::").map(str::to_owned).collect();
            self.add(&parts);
        }
        visit::visit_macro(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if parts.len() > 1 {
            self.add(&parts);
        }
        visit::visit_path(self, path);
    }
}

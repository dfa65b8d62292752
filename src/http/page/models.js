// The models of the server, and the one or two of them that answer.

import { get } from "./request.js";

const DEFAULT = { key: "", prefix: "", about: "/v1/model" };

let offered = []; // every model that can be chosen: { key, prefix, about, title, isReady }

let first;
let described = new Promise((resolve) => { first = resolve; });
let tell = () => {}; // shows what is known of the models that answer

// Resolves with the models that answer, each with its `description` where the server gives it. If others are chosen
// meanwhile, with those.
export async function chosenModels() {
  let latest;
  let models;
  do {
    latest = described;
    models = await latest;
  } while (latest !== described);
  return models;
}

// The model of this name, which may answer in place of one that is chosen.
export const modelNamed = (name) => found(name) ?? entry(name, undefined, []);

// Asks for the description of `model` again if the server did not give it: it does not before a model is loaded.
export async function describe(model) {
  if (model.description) return;
  model.description = await get(model.about);
  if (model.description) tell();
}

// Asks for the models, and shows the choice where there are several. `calls.changed` is called with the models that
// answer whenever they are others than before, `calls.described` whenever more is known of them.
export async function offerModels(byId, calls) {
  const list = await get("/v1/models");
  if (list) offered = modelsOf(list);
  byId("models").hidden = offered.length < 2;
  const query = new URLSearchParams(location.search);
  const one = found(query.get("model")) ?? found(list?.default) ?? offered[0] ?? DEFAULT;
  const other = found(query.get("compare"));
  show(byId, one, other);
  for (const select of [byId("model"), byId("compare")]) {
    select.onchange = () => {
      const both = [found(byId("model").value), found(byId("compare").value)];
      show(byId, ...both);
      remember(byId);
      choose(both, calls);
    };
  }
  await choose([one, other], calls);
}

// One entry for each model, and one for each version of a model with several.
function modelsOf({ models, versions }) {
  if (models.length === 1 && versions.length === 1) return [{ ...DEFAULT, key: models[0] }];
  return models.flatMap((name) => {
    const own = versions.filter((version) => version.name === name);
    const each = own.length > 1 ? own.map((version) => entry(name, version.version, [version])) : [];
    return [entry(name, undefined, own), ...each];
  });
}

function entry(name, version, versions) {
  const key = version === undefined ? name : `${name}/versions/${version}`;
  const prefix = `/v1/models/${key.split("/").map(encodeURIComponent).join("/")}`;
  const isReady = versions.some(({ state }) => state === "ready");
  const title = version === undefined ? name : `${name}, version ${version}`;
  return { key, prefix, about: prefix, title, isReady };
}

const found = (key) => offered.find((model) => model.key === key);

// Fills both lists; a model is not compared with itself.
function show(byId, one, other) {
  const options = (models) => models.map(({ key, title, isReady }) => new Option(isReady ? title : `${title} (not loaded)`, key));
  byId("model").replaceChildren(...options(offered));
  byId("model").value = one.key;
  const others = offered.filter((model) => model !== one);
  byId("compare").replaceChildren(new Option("no other model", ""), ...options(others));
  byId("compare").value = others.includes(other) ? other.key : "";
}

async function choose([one, other], calls) {
  const chosen = other && other !== one ? [one, other] : [one];
  const now = Promise.all(chosen.map(async (model) => ({ ...model, description: await get(model.about) })));
  described = now;
  const models = await now;
  first(models);
  if (described !== now) return;
  tell = () => calls.described(models);
  tell();
  calls.changed(models);
}

// The choice is in the address, so that it stays when the page is loaded again, and can be passed on.
function remember(byId) {
  const query = new URLSearchParams();
  query.set("model", byId("model").value);
  if (byId("compare").value) query.set("compare", byId("compare").value);
  history.replaceState(null, "", `?${query}`);
}

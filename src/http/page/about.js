// What the page says of the models that answer: their names and their classes.

export function showModels(byId, models) {
  const descriptions = models.map(({ description }) => description).filter(Boolean);
  if (descriptions.length === 0) return;
  const named = descriptions.map((model) => `${model.name} (${model.architecture}, ${size(model)} classes)`);
  byId("served").textContent = `Classifies photos with ${named.join(" and ")}.`;
  byId("device").textContent = [...new Set(descriptions.map(({ device }) => device))].join(", ");
  document.title = `${descriptions.map(({ name }) => name).join(", ")} – resnetd`;
  byId("demonstration").hidden = !descriptions.some(({ demonstration }) => demonstration);
  byId("classes").replaceChildren(...lists(descriptions));
}

// One list for each model; one for all where they have the same classes.
function lists(descriptions) {
  const same = descriptions.every(({ labels }) => String(labels) === String(descriptions[0].labels));
  if (same) return [list(`The ${size(descriptions[0])} classes`, descriptions[0].labels)];
  return descriptions.map((model) => list(`The ${size(model)} classes of ${model.name}`, model.labels));
}

const size = ({ labels }) => labels.length.toLocaleString("en");

function list(title, labels) {
  const element = document.getElementById("class-list").content.cloneNode(true).firstElementChild;
  const find = (selector) => element.querySelector(selector);
  find("summary").textContent = title;
  const search = find("input");
  search.hidden = labels.length <= 20;
  const show = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = labels.filter((label) => label.toLowerCase().includes(wanted));
    find("ul").replaceChildren(...found.map((label) => {
      const item = document.createElement("li");
      item.textContent = label;
      return item;
    }));
    find("p").textContent = wanted === "" ? "" : `${found.length} of ${labels.length} classes`;
  };
  search.addEventListener("input", show);
  show();
  return element;
}

// The box with the request of an answer in three languages, and a button that copies it.

import { hasKey } from "./key.js";
import { LANGUAGES } from "./snippets.js";

let language = "curl"; // of all boxes

// Fills the `details` element `box`. `request` gives the path and the name of the file. Returns what fills it again.
export function showCode(box, request) {
  const code = box.querySelector("code");
  const copy = box.querySelector(".copy");
  const buttons = Object.keys(LANGUAGES).map((name) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => {
      language = name;
      show();
    });
    return button;
  });
  const show = () => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.textContent === language));
    const { path, name } = request();
    code.textContent = LANGUAGES[language]({ url: location.origin + path, name, needsKey: hasKey() });
    copy.textContent = "Copy";
  };
  box.querySelector(".languages").replaceChildren(...buttons);
  copy.onclick = async () => {
    copy.textContent = (await copied(code)) ? "Copied" : "Not copied";
  };
  box.ontoggle = show;
  box.hidden = false;
  show();
  return show;
}

// Browsers have a clipboard for pages of this machine or over https only; elsewhere the text is selected and
// copied as a person would.
async function copied(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}

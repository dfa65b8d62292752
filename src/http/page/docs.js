// Swagger UI with the document of this server, in the light that the reader's machine asks for.

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

const spec = await (await fetch("/openapi.json")).json();

// Every field of a form is a file, whatever its name. Swagger UI offers files for named fields only.
spec.components.schemas.Pictures.properties = {
  image: { type: "array", items: { type: "string", format: "binary" } },
};

SwaggerUIBundle({
  spec,
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null, // nobody else is asked
});

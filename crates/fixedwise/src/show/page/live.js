
// The page of a run that goes on takes what is new; what is the same stays as it is.
const INTERVAL = 500;
let version = null;
function take(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  document.title = fresh.title;
  document.querySelector("header").replaceWith(fresh.querySelector("header"));
  const main = document.getElementById("main");
  const known = new Map(Array.from(main.children, (part) => [part.id, part]));
  const parts = Array.from(fresh.getElementById("main").children, (part) => {
    const source = part.outerHTML;
    const old = known.get(part.id);
    if (old && old.source === source) return old;
    ready(part);
    part.source = source;
    return part;
  });
  main.replaceChildren(...parts);
}
function say(text) {
  const place = document.getElementById("said");
  if (place) place.textContent = text;
}
async function look() {
  try {
    const headers = version === null ? {} : { "If-None-Match": version };
    const answer = await fetch("./", { headers, cache: "no-store" });
    if (answer.status === 200) {
      version = answer.headers.get("ETag");
      take(await answer.text());
    }
  } catch {
    say("The program does not answer any more: it has ended. Its folder has the result.");
    document.getElementById("stop")?.remove();
    return;
  }
  // The page of a run that has ended has nothing that goes on.
  if (document.getElementById("now")) setTimeout(look, INTERVAL);
}
document.addEventListener("click", async (event) => {
  if (event.target.id !== "stop") return;
  event.target.disabled = true;
  try {
    const answer = await fetch("./stop", { method: "POST" });
    if (!answer.ok) say("The program refuses to stop: " + (await answer.text()));
  } catch {
    say("The program does not answer any more.");
  }
});
setTimeout(look, INTERVAL);

// Looks every few seconds whether the page has changed, and if so replaces what it shows; the place on the page stays.
const every = 1000 * Number(document.getElementById("page").dataset.every);
let tag = null;
let timer = 0;
async function look() {
  clearTimeout(timer);
  const busy = document.querySelector("#page input:focus, #page input:checked");
  if (!document.hidden && !busy) {
    try {
      const answer = await fetch(location.href, { headers: tag ? { "If-None-Match": tag } : {} });
      if (answer.status === 200) {
        const found = new DOMParser().parseFromString(await answer.text(), "text/html");
        document.getElementById("page").replaceWith(document.adoptNode(found.getElementById("page")));
        document.title = found.title;
        tag = answer.headers.get("etag");
      }
    } catch { /* the server has ended, or will answer later */ }
  }
  timer = setTimeout(look, every);
}
document.addEventListener("visibilitychange", look);
timer = setTimeout(look, every);

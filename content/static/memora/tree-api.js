/* Requests of the content tree to the server. */

import { settings, texts } from "./tree-page.js";

/* Return the current CSRF token; a sign-in in another tab may have replaced it. */
const csrf = () =>
  document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ||
  document.querySelector("#tree-csrf input").value;

/** Fetch a page of the tree; throws an `Error` with the reason as text. */
export async function get(path, values = {}) {
  const query = new URLSearchParams(values);
  if (settings.view) query.set("view", settings.view);
  const answer = await fetch(`${settings.base}${path}?${query}`);
  if (answer.redirected || !answer.ok) throw new Error(problem(answer));
  return answer;
}

function problem(answer) {
  if (answer.redirected) return texts.signed_out;
  return answer.status === 403 ? texts.forbidden : texts.failed;
}

/** Send a change and return the JSON response; `error` is the reason of a failure. */
export async function post(path, values) {
  const body = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of [value].flat()) body.append(name, one);
  }
  let answer;
  try {
    answer = await fetch(`${settings.base}${path}/`, {
      method: "POST",
      headers: { "X-CSRFToken": csrf() },
      body,
    });
  } catch {
    return { error: texts.failed };
  }
  if (answer.redirected) return { error: texts.signed_out };
  const result = await answer.json().catch(() => null);
  // Without a reason the response is not from the application.
  return result && (answer.ok || result.error) ? result : { error: problem(answer) };
}

/** Open the page that asks for confirmation before these are deleted for good. */
export function deletePermanently(keys) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = settings.base;
  const add = (name, value) => {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  };
  add("csrfmiddlewaretoken", csrf());
  add("action", "delete_selected");
  for (const pk of keys) add("_selected_action", pk);
  document.body.append(form);
  form.submit();
}

// A student's day with a client that is generated from the API's schema. The compiler
// checks the requests and the fields of the answers; test_generated_clients.py runs it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import createClient from "openapi-fetch";

import type { components, paths } from "./schema.js";

type Node = components["schemas"]["ProgressNode"];

const { SERVER, EMAIL, PASSWORD } = process.env;
assert(SERVER && EMAIL && PASSWORD);
const deviceId = randomUUID();
const client = createClient<paths>({
  baseUrl: SERVER,
  headers: { "X-Device-ID": deviceId, "Accept-Language": "en" },
});

/** The answer of a request that must succeed. */
function answered<T>(result: { data?: T; error?: unknown; response: Response }): T {
  assert(result.data !== undefined, JSON.stringify(result.error));
  return result.data;
}

function lessons(node: Node): Node[] {
  return node.type === "lesson" ? [node] : node.children.flatMap(lessons);
}

// Sign in.
const credentials = { email: EMAIL, password: PASSWORD };
const signIn = { header: { "X-Device-ID": deviceId } };
const wrong = await client.POST("/api/v1/auth/login/", {
  params: signIn,
  body: { ...credentials, password: "wrong" },
});
assert.equal(wrong.error?.error_code, "INVALID_CREDENTIALS");
const signedIn = answered(
  await client.POST("/api/v1/auth/login/", { params: signIn, body: credentials }),
);
assert.equal(signedIn.plan?.id, "PLAN-5");
client.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${signedIn.token}`);
    return request;
  },
});
assert(answered(await client.GET("/api/v1/auth/session/")).valid);
assert.equal(answered(await client.GET("/api/v1/me/")).name, signedIn.player.name);

// Start: the plan's manifest and the progress in its subject.
const content = answered(await client.GET("/api/v1/content/"));
const manifest = await (await fetch(content.manifest_url)).json();
const subject = { params: { path: { subject_id: String(manifest.subjects[0].id) } } };
const before = await client.GET("/api/v1/progress/{subject_id}/", subject);
const [first, second] = lessons(answered(before).root);
assert(first && second);
assert.equal(first.status, "unlocked");
assert.equal(second.locked_reason, "previous");
const unchanged = await client.GET("/api/v1/progress/{subject_id}/", {
  params: {
    ...subject.params,
    header: { "If-None-Match": before.response.headers.get("ETag") ?? "" },
  },
});
assert.equal(unchanged.response.status, 304);

// Complete the lesson, and once more because the answer was lost.
const link = answered(
  await client.GET("/api/v1/content/lessons/{lesson_id}/", {
    params: { path: { lesson_id: first.id } },
  }),
);
assert.equal((await (await fetch(link.url)).json()).id, first.id);
const locked = await client.POST("/api/v1/lessons/{lesson_id}/complete/", {
  params: { path: { lesson_id: second.id } },
  body: { hearts: 5 },
});
assert(locked.error?.error_code === "NOT_UNLOCKED");
assert.equal(locked.error.details.next_lesson_id, first.id);
const completion = {
  params: {
    path: { lesson_id: first.id },
    header: { "Idempotency-Key": randomUUID() },
  },
  body: { hearts: 4 },
};
const path = "/api/v1/lessons/{lesson_id}/complete/";
const completed = answered(await client.POST(path, completion));
assert.deepEqual(completed.unlocked, [second.id]);
assert.deepEqual(answered(await client.POST(path, completion)), completed);

// Review what is due.
const reviews = answered(await client.GET("/api/v1/reviews/"));
assert.equal(reviews.due, 1);
const due = answered(
  await client.GET("/api/v1/reviews/due/", { params: { query: { limit: 5 } } }),
);
const accepted = answered(
  await client.POST("/api/v1/reviews/", {
    body: {
      reviews: due.items.map(({ item_id, lesson_id }) => ({
        item_id,
        lesson_id,
        rating: 3,
        reviewed_at: new Date().toISOString(),
      })),
    },
  }),
);
assert.equal(accepted.accepted, 1);
assert(new Date(accepted.reviews[0]?.due_at ?? 0) > new Date());

// The wallet; sign out.
const wallet = answered(await client.GET("/api/v1/wallet/"));
assert.equal(wallet.total_xp, completed.new_total_xp + accepted.xp_earned);
assert.equal(wallet.current_streak, 1);
assert.match(wallet.streak_ends_at ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
answered(await client.POST("/api/v1/auth/logout/"));
const refused = await client.GET("/api/v1/wallet/");
assert.equal(refused.error?.error_code, "SESSION_SIGNED_OUT");
console.log("done");

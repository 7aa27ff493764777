// When a file is sent again: the page's policy (frontend/src/uploader/retry.rs), for whole files.

/** How long the mini program keeps trying to send a file after the first failure, in milliseconds. */
const BUDGET_MS = 15 * 60 * 1000;

/** Least and longest wait before a file is sent again, in milliseconds. */
const LEAST_MS = 250;
const FIRST_MS = 500;
const LONGEST_MS = 30 * 1000;

/** Longest time that an upload may move nothing, in milliseconds: its connection is dead then. */
const STALL_MS = 60 * 1000;

/** Longest time that one request may take, in milliseconds; WeChat itself would cut it after one minute. */
const REQUEST_MS = 60 * 60 * 1000;

/** What the edge says when the same may succeed later. `edge-down` stands for no answer of the edge. */
const PASSING = ["edge-down", "internal", "rate-limited", "storage-unavailable", "upload-busy"];

/**
 * How long to wait before repetition `n` (from 1), in milliseconds: exponential backoff with full jitter.
 * @param {number} n
 * @param {number} random 0 up to 1
 */
function wait(n, random) {
  const full = Math.min(FIRST_MS * 2 ** Math.min(n - 1, 16), LONGEST_MS);
  return LEAST_MS + (full - LEAST_MS) * random;
}

/**
 * Whether the same may succeed later.
 * @param {{ code: string }} problem
 */
const passes = (problem) => PASSING.includes(problem.code);

module.exports = { BUDGET_MS, LONGEST_MS, STALL_MS, REQUEST_MS, wait, passes };

// The shapes that most tests have.

/** A test of two requests: an answer with these fields, `pause` (3 s unless told otherwise), and what the second gets. */
export function reuse (id, name, fields, second, { kind, depends, pause = true, ...first } = {}) {
  const answer = { response_headers: fields, setup: true, ...first }
  if (pause) answer.pause_after = true
  const test = { id: `own-${id}`, name, requests: [answer, typeof second === 'string' ? { expected_type: second } : second] }
  if (kind !== undefined) test.kind = kind
  if (depends !== undefined) test.depends_on = depends
  return test
}

/** A field that the edge may change: it is not compared with what the client gets. */
export const loose = (name, value) => [name, value, false]

export const NOW = ['Date', 0]

// RFC 9110 section 15.2, RFC 8297, RFC 9111 section 3: interim responses are passed on, the final one alone is stored.
const HOUR = [['Cache-Control', 'max-age=3600'], ['Date', 0]]
const HINT = [103, [['link', '</a.css>; rel=preload'], ['x-hint', '1']]]

function test (id, name, kind, interim, second) {
  const first = { interim_responses: interim, expected_interim_responses: interim, response_headers: HOUR, pause_after: true }
  return { id: `own-interim-${id}`, name, kind, requests: [first, { expected_type: 'cached', ...second }] }
}

export default {
  name: 'Interim responses',
  id: 'own-interim',
  tests: [
    test('102', 'A 102 is passed on', 'optimal', [[102]], {}),
    test('103', 'A 103 is passed on with its fields', 'optimal', [HINT], {}),
    test('several', 'Several are passed on in order', 'optimal', [[102], HINT], {}),
    test('not-stored', 'They are not sent from the cache', 'required', [HINT], { expected_interim_responses: [] }),
    test('fields-not-stored', 'Their fields are not those of the stored answer', 'required', [HINT], { expected_response_headers_missing: ['x-hint', 'link'] })
  ]
}

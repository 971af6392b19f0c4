// RFC 9111 sections 3.2, 4.3 and 4.4: what a 304 changes of a stored answer, and what an answer to another method does.
import { NOW } from './form.mjs'

const short = ['Cache-Control', 'max-age=2']
const etag = ['ETag', '"a"']
const modified = ['Last-Modified', 'Wed, 01 Jan 2020 00:00:00 GMT']

/** Stored with `before`, confirmed by a 304 with `after`: both the answer then and the one from the cache have `expected`. */
function confirmed (id, name, before, after, expected, missing = []) {
  const fields = { expected_response_headers: expected, expected_response_headers_missing: missing }
  return {
    id: `own-304-${id}`,
    name,
    requests: [
      { response_headers: [NOW, short, etag, ...before], setup: true, pause_after: true },
      { response_headers: [NOW, ['Cache-Control', 'max-age=3600'], etag, ...after], expected_type: 'etag_validated', setup_tests: ['expected_type'], ...fields },
      { expected_type: 'cached', setup_tests: ['expected_type'], ...fields }
    ]
  }
}

/** A stored answer, another request, and whether the stored one is still served. */
function changed (id, name, method, status, then, kind) {
  return {
    id: `own-invalidate-${id}`,
    name,
    kind,
    requests: [
      { response_headers: [NOW, ['Cache-Control', 'max-age=3600']], setup: true },
      { request_method: method, request_body: ['HEAD', 'OPTIONS'].includes(method) ? undefined : 'x', response_status: [status, 'Done'], check_body: false, setup: true },
      { expected_type: then }
    ]
  }
}

export default {
  name: 'Updates',
  id: 'own-update',
  tests: [
    confirmed('replaces', 'A 304 replaces fields, adds new ones and keeps what it does not mention',
      [['X-Old', '1', false], ['X-Kept', '1']], [['X-Old', '2'], ['X-New', '3']], [['X-Old', '2'], ['X-Kept', '1'], ['X-New', '3']]),
    confirmed('type', 'A 304 may change the type', [['Content-Type', 'text/plain', false]], [['Content-Type', 'text/plain;charset=utf-8']], [['Content-Type', 'text/plain;charset=utf-8']]),
    confirmed('bytes', 'A 304 does not change how the stored bytes are read', [['Content-MD5', 'AA==']], [['Content-MD5', 'BB==', false], ['Content-Length', '3', false]], [['Content-MD5', 'AA==']]),
    {
      id: 'own-both-validators',
      name: 'A stored answer is confirmed with both of its validators',
      requests: [
        { response_headers: [NOW, short, etag, modified], setup: true, pause_after: true },
        { expected_type: 'etag_validated', setup_tests: ['expected_type'], expected_request_headers: [['If-None-Match', '"a"'], ['If-Modified-Since', modified[1]]] }
      ]
    },
    ...['PATCH', 'PUT', 'DELETE', 'LINK'].map(method => changed(method.toLowerCase(), `A successful ${method} removes what is stored`, method, 200, 'not_cached')),
    changed('redirect', 'So does one that is answered by a redirect', 'POST', 303, 'not_cached'),
    changed('no-content', 'So does one without content', 'PUT', 204, 'not_cached'),
    changed('client-error', 'One that is refused does not', 'PUT', 404, 'cached', 'optimal'),
    changed('server-error', 'One that fails does not', 'PUT', 503, 'cached', 'optimal'),
    changed('safe', 'A method that changes nothing does not', 'OPTIONS', 200, 'cached', 'optimal')
  ]
}

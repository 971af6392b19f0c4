// RFC 9111 sections 3 and 5.2.2: what is stored of an answer, and whether.
import { loose, NOW, reuse } from './form.mjs'

const HOUR = 'max-age=3600'
const once = (id, name, fields, more) => reuse(id, name, fields, 'not_cached', more)

export default {
  name: 'What is stored',
  id: 'own-stored',
  tests: [
    reuse('private-fields', 'Fields that `private` names are not for the next client, the rest of the answer is', [
      ['Cache-Control', `${HOUR}, private="set-cookie, x-one"`], loose('Set-Cookie', 'a=1'), loose('X-One', '1'), ['X-Two', '2']
    ], { expected_type: 'cached', expected_response_headers: [['X-Two', '2']], expected_response_headers_missing: ['set-cookie', 'x-one'] },
    { expected_response_headers: [['Set-Cookie', 'a=1'], ['X-One', '1']] }),
    reuse('no-cache-fields', 'Fields that `no-cache` names are not for the next client', [
      ['Cache-Control', `${HOUR}, no-cache="x-one"`], loose('X-One', '1'), ['X-Two', '2']
    ], { expected_type: 'cached', expected_response_headers: [['X-Two', '2']], expected_response_headers_missing: ['x-one'] }),
    once('private-vary', 'A directive that names a field without which an answer cannot be stored holds for all of it', [['Cache-Control', `${HOUR}, private="vary"`], ['Vary', 'A']]),
    once('partial', 'A 206 is not stored as the whole', [['Cache-Control', HOUR], ['Content-Range', 'bytes 0-3/8']], { response_status: [206, 'Partial Content'], check_body: false, pause: false }),
    once('unsatisfiable', 'A 416 is not stored', [['Cache-Control', HOUR]], { response_status: [416, 'Range Not Satisfiable'], check_body: false, pause: false }),
    once('post', 'The answer to a POST is not stored', [['Cache-Control', HOUR]], { request_method: 'POST', request_body: 'x', pause: false }),
    once('vary-star-in-list', 'An answer that varies on everything is not reused', [['Cache-Control', HOUR], loose('Vary', 'A, *')], { pause: false }),
    once('must-understand-unknown', '`must-understand` with an unknown status is not stored', [['Cache-Control', `${HOUR}, must-understand`]], { response_status: [499, 'Unknown'], check_body: false, pause: false }),
    reuse('must-understand-known', '`must-understand` with a known status goes before `no-store`', [['Cache-Control', `${HOUR}, no-store, must-understand`]], 'cached', { kind: 'optimal', pause: false }),
    reuse('connection-vary', '`Connection` cannot take away what an answer varies on', [['Cache-Control', HOUR], loose('Connection', 'vary'), loose('Vary', 'X-One')], {
      request_headers: [['X-One', 'b']], expected_type: 'not_cached'
    }, { request_headers: [['X-One', 'a']], pause: false }),
    reuse('only-if-cached', '`only-if-cached` is answered from the cache or by 504', [['Cache-Control', HOUR]], 'cached', {
      kind: 'check', pause: false, request_headers: [['Cache-Control', 'only-if-cached']], expected_status: 504, check_body: false
    }),
    once('expires-twice', 'Two different `Expires` make an answer stale', [NOW, loose('Expires', 'Thu, 18 Aug 2050 02:01:18 GMT'), loose('Expires', 'Thu, 18 Aug 2050 02:01:19 GMT')], { pause: false }),
    ...[
      ['utc', 'Thu, 18 Aug 2050 02:01:18 UTC'],
      ['zone', 'Thu, 18 Aug 2050 02:01:18 AEST'],
      ['short-year', 'Thu, 18 Aug 50 02:01:18 GMT'],
      ['no-comma', 'Thu 18 Aug 2050 02:01:18 GMT'],
      ['spaces', 'Thu, 18  Aug  2050 02:01:18 GMT'],
      ['dashes', 'Thu, 18-Aug-2050 02:01:18 GMT'],
      ['periods', 'Thu, 18 Aug 2050 02.01.18 GMT'],
      ['short-hour', 'Thu, 18 Aug 2050 2:01:18 GMT']
    ].map(([id, date]) => once(`expires-${id}`, `No date: \`Expires: ${date}\``, [NOW, loose('Expires', date)], { pause: false })),
    ...[
      ['weekday', 'THU, 18 Aug 2050 02:01:18 GMT'],
      ['month', 'Thu, 18 AUG 2050 02:01:18 GMT'],
      ['zone', 'Thu, 18 Aug 2050 02:01:18 gmt'],
      ['asctime', 'Thu Aug 18 02:01:18 2050'],
      ['rfc850', 'Thursday, 18-Aug-50 02:01:18 GMT'],
      ['past-2038', 'Tue, 19 Jan 2038 14:14:08 GMT'],
      ['far', 'Sun, 21 Nov 2286 04:46:39 GMT']
    ].map(([id, date]) => reuse(`expires-fine-${id}`, `A date: \`Expires: ${date}\``, [NOW, loose('Expires', date)], 'cached', { kind: 'optimal', pause: false }))
  ]
}

// RFC 9111 sections 4.2.4 and 5.2.2, RFC 5861: when a copy is served although its time is over, and when never.
import { reuse } from './form.mjs'

const lost = expected => ({ disconnect: true, check_body: false, ...expected })
const failing = (status, expected) => ({ response_status: [status, 'Failing'], check_body: false, ...expected })
const REFUSED = { expected_status: 504 }
const tag = ['ETag', '"a"']

const never = [
  ['must-revalidate', 'max-age=2, must-revalidate', REFUSED],
  ['proxy-revalidate', 'max-age=2, proxy-revalidate', REFUSED],
  ['s-maxage', 's-maxage=2', REFUSED],
  ['must-revalidate-and-permission', 'max-age=2, must-revalidate, stale-if-error=60, stale-while-revalidate=60', REFUSED],
  ['no-cache', 'max-age=2, no-cache', { expected_status: 502 }]
]

export default {
  name: 'Stale answers',
  id: 'own-stale',
  tests: [
    ...never.map(([id, value, expected]) => reuse(`stale-never-${id}`, `\`${value}\`: an error rather than a stale answer`, [['Cache-Control', value], tag], lost(expected))),
    reuse('stale-never-fresh-no-cache', '`no-cache`: an error rather than an answer that is not confirmed, also within its lifetime', [['Cache-Control', 'max-age=3600, no-cache'], tag], lost({ expected_status: 502 }), { pause: false }),
    reuse('stale-if-error-status', '`stale-if-error`: the stale answer stands in for a 500', [['Cache-Control', 'max-age=2, stale-if-error=60']], failing(500, { expected_status: 200, expected_type: 'cached' }), { kind: 'optimal' }),
    reuse('stale-if-error-over', '`stale-if-error`: not after its time', [['Cache-Control', 'max-age=1, stale-if-error=1']], failing(503, { expected_status: 503 })),
    reuse('stale-if-error-none', 'An error that the origin answers is passed on where nothing allows otherwise', [['Cache-Control', 'max-age=2']], failing(503, { expected_status: 503 }), { kind: 'check' }),
    reuse('swr-within', '`stale-while-revalidate`: the stale answer at once within its time', [['Cache-Control', 'max-age=2, stale-while-revalidate=60']], 'cached', { kind: 'optimal' }),
    reuse('swr-over', '`stale-while-revalidate`: not after its time', [['Cache-Control', 'max-age=1, stale-while-revalidate=1']], 'not_cached'),
    {
      id: 'own-swr-refreshes',
      name: '`stale-while-revalidate`: what was served stale is refreshed meanwhile',
      kind: 'optimal',
      depends_on: ['own-swr-within'],
      requests: [
        { response_headers: [['Cache-Control', 'max-age=2, stale-while-revalidate=60']], setup: true, pause_after: true },
        { response_headers: [['Cache-Control', 'max-age=60']], expected_type: 'cached', setup: true, pause_after: true },
        { expected_type: 'cached', expected_response_headers: [['Server-Request-Count', '2']] }
      ]
    }
  ]
}

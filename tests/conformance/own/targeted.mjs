// RFC 9213: CDN-Cache-Control is a dictionary of structured fields that speaks instead of Cache-Control and Expires; what is
// malformed says nothing.
import { loose, NOW, reuse } from './form.mjs'

const cdn = value => loose('CDN-Cache-Control', value)
const LATER = ['Expires', 10000]
const PAST = ['Expires', -10000]
const base = ['freshness-none']
const depends = ['own-cdn-max-age']

const instead = [
  ['huge', [cdn('max-age=99999999999')], base],
  ['above-31-bits', [cdn('max-age=2147483648')], base],
  ['extension', [cdn('a, max-age=3600;b=c')], depends],
  ['over-expires', [NOW, cdn('max-age=3600'), PAST], depends],
  ['over-bad-expires', [NOW, cdn('max-age=3600'), loose('Expires', '0')], depends],
  ['over-max-age', [['Cache-Control', 'max-age=1'], cdn('max-age=3600')], depends],
  ['over-private', [['Cache-Control', 'private'], cdn('max-age=3600')], depends],
  ['last-of-equal', [cdn('max-age=1, max-age=3600')], depends]
].map(([id, fields, on]) => reuse(`cdn-${id}`, `CDN-Cache-Control makes it fresh: ${id}`, fields, 'cached', { kind: 'optimal', depends: on }))

const not = [
  ['zero', [cdn('max-age=0')], depends],
  ['age', [NOW, cdn('max-age=3600'), loose('Age', '7200')], depends],
  ['zero-over-expires', [NOW, cdn('max-age=0'), LATER], depends],
  ['short-over-long', [['Cache-Control', 'max-age=3600'], cdn('max-age=1')], depends],
  ['private', [NOW, ['CDN-Cache-Control', 'private'], ['Cache-Control', 'max-age=3600'], LATER]],
  ['no-cache', [NOW, ['CDN-Cache-Control', 'no-cache'], ['Cache-Control', 'max-age=3600'], LATER]],
  ['no-store', [NOW, cdn('no-store'), ['Cache-Control', 'max-age=3600'], LATER]],
  ['malformed', [cdn('max-age=3600, &&&'), ['Cache-Control', 'no-store']], depends],
  ['text-for-a-number', [cdn('max-age="3600"'), ['Cache-Control', 'no-store']], depends],
  ['token-for-a-number', [cdn('max-age=an-hour'), ['Cache-Control', 'no-store']], depends],
  ['upper-case', [cdn('Max-Age=3600'), ['Cache-Control', 'no-store']], depends],
  ['space-before-equals', [cdn('max-age =3600'), ['Cache-Control', 'max-age=1']], depends],
  ['space-behind-equals', [cdn('max-age= 3600'), ['Cache-Control', 'max-age=1']], depends],
  ['dangling-comma', [cdn('max-age=3600,'), ['Cache-Control', 'max-age=1']], depends]
].map(([id, fields, on]) => reuse(`cdn-not-${id}`, `CDN-Cache-Control does not make it fresh: ${id}`, fields, 'not_cached', { depends: on }))

export default {
  name: 'CDN-Cache-Control',
  id: 'own-targeted',
  tests: [
    reuse('cdn-max-age', 'CDN-Cache-Control makes an answer fresh', [cdn('max-age=3600')], 'cached', { kind: 'optimal', depends: base }),
    reuse('cdn-over-no-store', 'CDN-Cache-Control speaks instead of `no-store`', [['Cache-Control', 'no-store'], cdn('max-age=3600')], 'cached', { depends: base }),
    ...instead,
    ...not,
    reuse('cdn-passed-on', 'The field is passed on to clients', [['CDN-Cache-Control', 'max-age=3600']], {
      expected_type: 'cached', expected_response_headers: [['CDN-Cache-Control', 'max-age=3600']]
    }, { pause: false })
  ]
}

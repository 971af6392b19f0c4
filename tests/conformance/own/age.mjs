// RFC 9111 section 5.1 (Age): the first member of a list counts, and a value that is no number does not.
import { loose, NOW, reuse } from './form.mjs'

const HOUR = ['Cache-Control', 'max-age=3600']
const depends = ['freshness-max-age-age']

const ignored = [
  ['words', [loose('Age', 'abc')]],
  ['negative', [loose('Age', '-7200')]],
  ['fraction', [loose('Age', '7200.0')]],
  ['parameter', [loose('Age', '7200;a=b')]],
  ['first-of-list', [loose('Age', '0, 7200')]],
  ['first-of-lines', [loose('Age', '0'), loose('Age', '7200')]],
  ['equal', [loose('Age', '60, 60')]]
]
const counted = [
  ['first-of-list', [loose('Age', '7200, 0')]],
  ['first-of-lines', [loose('Age', '7200'), loose('Age', '0')]],
  ['overflow', [loose('Age', '99999999999999999999')]]
]

export default {
  name: 'Age, as RFC 9111 has it',
  id: 'own-age',
  tests: [
    ...ignored.map(([id, age]) => reuse(`age-ignored-${id}`, `An Age that does not count leaves the answer fresh: ${age.map(([, value]) => value).join(' | ')}`, [NOW, HOUR, ...age], 'cached', { depends })),
    ...counted.map(([id, age]) => reuse(`age-counted-${id}`, `An Age above the lifetime makes the answer stale: ${age.map(([, value]) => value).join(' | ')}`, [NOW, HOUR, ...age], 'not_cached', { depends })),
    reuse('age-residence', 'The Age of a stored answer is the received one and the time since', [NOW, HOUR, loose('Age', '30')], {
      expected_type: 'cached',
      expected_response_headers: [['Age', '>', 32]]
    }, { depends })
  ]
}

// What the outcome of a test is, by the suite's own rules.
//
// required: pass | fail. optimal: pass | suboptimal. check: yes | no, where neither is better. Before those: a test whose
// precondition broke is `setup` (`retry` when the origin saw a request twice), one that ran into the client's time limit is
// `harness`, and one that depends on a test which is not passed is `dependency`, whatever it did itself.

const WORDS = { required: ['pass', 'fail'], optimal: ['pass', 'suboptimal'], check: ['yes', 'no'] }

export const kindOf = test => test.kind ?? 'required'

/** Outcomes by id, sorted: `{ kind, outcome, why }`. `results` is what the suite's client returns. */
export function score (tests, results) {
  const known = new Map(tests.map(test => [test.id, test]))
  const outcomes = new Map()
  const outcome = id => {
    if (!outcomes.has(id)) outcomes.set(id, judge(known.get(id)))
    return outcomes.get(id)
  }
  const judge = test => {
    if (test === undefined) return 'unknown'
    const [good, bad] = WORDS[kindOf(test)]
    const result = results[test.id]
    if (result === undefined) return 'untested'
    if ((test.depends_on ?? []).some(id => !['pass', 'yes'].includes(outcome(id)))) return 'dependency'
    if (result === true) return good
    const [name, message] = result
    if (name === 'Setup') return message === 'retry' ? 'retry' : 'setup'
    if (name === 'AbortError' || name === 'TimeoutError') return 'harness'
    return bad
  }
  const sorted = [...known.keys()].sort()
  return Object.fromEntries(sorted.map(id => {
    const why = results[id] === true ? undefined : results[id]?.[1]
    return [id, { kind: kindOf(known.get(id)), outcome: outcome(id), why }]
  }))
}

/** Lines that say how many of each kind passed. */
export function totals (scored) {
  return Object.entries(WORDS).map(([kind, [good]]) => {
    const of = Object.values(scored).filter(test => test.kind === kind)
    const counts = {}
    for (const { outcome } of of) counts[outcome] = (counts[outcome] ?? 0) + 1
    const others = Object.entries(counts).filter(([outcome]) => outcome !== good).sort()
    return `${kind}: ${counts[good] ?? 0} of ${of.length}` + others.map(([outcome, n]) => `, ${n} ${outcome}`).join('')
  })
}

/** What changed against what was expected, in either direction: one line each. */
export function differences (expected, scored) {
  const ids = [...new Set([...Object.keys(expected), ...Object.keys(scored)])].sort()
  return ids.flatMap(id => {
    const before = expected[id] ?? 'no such test'
    const now = scored[id]?.outcome ?? 'no such test'
    const why = scored[id]?.why
    return before === now ? [] : [`${id} (${scored[id]?.kind ?? 'gone'}): expected ${before}, is ${now}${why ? `: ${why}` : ''}`]
  })
}

// Plays the public HTTP cache test suite, and tests of our own in its form, against the real binary, and compares every
// outcome with expected.json. See README.md.
//
//   node tests/conformance/run.mjs [--accept] [--only TEXT] [--binary PATH]
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

import * as client from './client.mjs'
import * as edge from './edge.mjs'
import * as origin from './origin.mjs'
import { own } from './own/index.mjs'
import { differences, score, totals } from './score.mjs'

/** Tests that run at once: each has a URL of its own, and mostly waits. */
const AT_ONCE = 100

const here = path.dirname(fileURLToPath(import.meta.url))
const root = path.join(here, '..', '..')
const expectedFile = path.join(here, 'expected.json')

const { values: options } = parseArgs({
  options: { accept: { type: 'boolean' }, only: { type: 'string' }, binary: { type: 'string' } }
})

const target = path.resolve(root, process.env.CARGO_TARGET_DIR ?? 'target')
const scratch = path.join(target, 'conformance')

function install () {
  mkdirSync(scratch, { recursive: true })
  const lock = readFileSync(path.join(here, 'package-lock.json'))
  const installed = path.join(scratch, 'package-lock.json')
  const present = existsSync(path.join(scratch, 'node_modules', 'http-cache-tests', 'package.json'))
  if (present && existsSync(installed) && readFileSync(installed).equals(lock)) return
  for (const name of ['package.json', 'package-lock.json', 'absent']) {
    cpSync(path.join(here, name), path.join(scratch, name), { recursive: true })
  }
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: scratch, stdio: 'inherit' })
}

const suite = file => import(pathToFileURL(path.join(scratch, 'node_modules', 'http-cache-tests', file)))

/** The tests in the suite's form, those that only a browser can do left out. */
async function collect () {
  const { default: published } = await suite('tests/index.mjs')
  const suites = [...published, ...own]
  return suites.map(({ name, id, tests }) => ({ name, id, tests: tests.filter(test => test.browser_only !== true) }))
}

/** The chosen tests, and those they depend on. */
function choose (suites, text) {
  if (text === undefined) return suites
  const all = suites.flatMap(({ tests }) => tests)
  const wanted = new Set()
  const want = test => {
    if (test === undefined || wanted.has(test.id)) return
    wanted.add(test.id)
    for (const id of test.depends_on ?? []) want(all.find(other => other.id === id))
  }
  all.filter(({ id }) => id.includes(text)).forEach(want)
  return suites.map(each => ({ ...each, tests: each.tests.filter(({ id }) => wanted.has(id)) }))
}

async function play (suites, binary) {
  const { runTests, getResults } = await suite('client/runner.mjs')
  const server = await origin.start(suite)
  try {
    const { base, stop } = await edge.start(binary, server.address().port)
    try {
      await runTests(suites, client.fetchFor(suites.flatMap(({ tests }) => tests)), false, base, AT_ONCE)
    } finally {
      client.close()
      await stop()
    }
  } finally {
    server.closeAllConnections()
    server.close()
  }
  return getResults()
}

install()
const binary = path.resolve(options.binary ?? process.env.LEEWARD_BIN ?? path.join(target, 'debug', 'leeward'))
const suites = choose(await collect(), options.only)
const tests = suites.flatMap(({ tests }) => tests)
const isOwn = new Set(own.flatMap(({ tests }) => tests.map(({ id }) => id)))
const scored = score(tests, await play(suites, binary))
writeFileSync(path.join(scratch, 'results.json'), JSON.stringify(scored, null, 2) + '\n')

const part = keep => Object.fromEntries(Object.entries(scored).filter(([id]) => keep(id)))
console.log('published suite:', totals(part(id => !isOwn.has(id))).join('; '))
console.log('tests of our own:', totals(part(id => isOwn.has(id))).join('; '))

const outcomes = Object.fromEntries(Object.entries(scored).map(([id, { outcome }]) => [id, outcome]))
if (options.only !== undefined) {
  for (const [id, { kind, outcome, why }] of Object.entries(scored)) console.log(`${outcome} ${id} (${kind})${why ? `: ${why}` : ''}`)
} else if (options.accept) {
  writeFileSync(expectedFile, JSON.stringify(outcomes, null, 2) + '\n')
  console.log(`written: ${path.relative(root, expectedFile)}`)
} else {
  const changed = differences(JSON.parse(readFileSync(expectedFile, 'utf8')), scored)
  for (const line of changed) console.error(line)
  if (changed.length > 0) {
    console.error(`${changed.length} outcomes differ from tests/conformance/expected.json; --accept writes them`)
    process.exitCode = 1
  }
}

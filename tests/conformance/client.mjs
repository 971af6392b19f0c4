// `fetch` as the suite's client wants it, on Node's plain HTTP client, which adds nothing to a request and shows interim
// responses.
import http from 'node:http'

/** A test that takes longer for one request has failed to get an answer. */
const PATIENCE = 10_000
/** Statuses without a body, which `Response` refuses to give one. */
const BODILESS = new Set([101, 204, 205, 304])

const agent = new http.Agent({ keepAlive: true, maxSockets: 200 })

/** Ends the kept connections. */
export const close = () => agent.destroy()

/** A `fetch` that checks `expected_interim_responses` of the test named in `Test-ID`. */
export function fetchFor (tests) {
  const known = new Map(tests.map(test => [test.id, test]))
  return async (url, init = {}) => {
    const fields = init.headers ?? []
    const value = name => fields.find(([field]) => field.toLowerCase() === name)?.[1]
    const expected = known.get(value('test-id'))?.requests[Number(value('req-num')) - 1]?.expected_interim_responses
    const { response, interim } = await once(url, init.method ?? 'GET', fields, init.body)
    if (expected !== undefined) check(expected, interim)
    return response
  }
}

function once (url, method, fields, body) {
  return new Promise((resolve, reject) => {
    const interim = []
    const signal = AbortSignal.timeout(PATIENCE)
    const request = http.request(url, { method, agent, signal })
    for (const [name, value] of fields) {
      const old = request.getHeader(name)
      request.setHeader(name, old === undefined ? value : [old, value].flat())
    }
    if (body !== undefined) request.setHeader('Content-Length', Buffer.byteLength(body))
    request.on('information', ({ statusCode, headers }) => interim.push([statusCode, headers]))
    request.on('error', reject)
    request.on('response', message => {
      const parts = []
      message.on('data', part => parts.push(part))
      message.on('error', reject)
      message.on('end', () => resolve({ response: standIn(message, Buffer.concat(parts)), interim }))
    })
    request.end(body)
  })
}

/** A `Response`, also with statuses and fields that the class itself refuses. */
function standIn (message, body) {
  const headers = new Headers()
  for (let at = 0; at < message.rawHeaders.length; at += 2) {
    headers.append(message.rawHeaders[at], message.rawHeaders[at + 1])
  }
  const text = BODILESS.has(message.statusCode) ? '' : body.toString()
  return { status: message.statusCode, statusText: message.statusMessage, headers, text: async () => text }
}

function check (expected, interim) {
  for (const [at, [status, fields]] of expected.entries()) {
    const seen = interim[at]
    const missing = (fields ?? []).filter(([name, value]) => seen?.[1][name.toLowerCase()] !== value)
    if (seen?.[0] === status && missing.length === 0) continue
    throw Object.assign(new Error(`interim responses are ${JSON.stringify(interim)}, not ${JSON.stringify(expected)}`), { name: 'Assertion' })
  }
  if (interim.length > expected.length) {
    throw Object.assign(new Error(`${interim.length} interim responses, not ${expected.length}`), { name: 'Assertion' })
  }
}

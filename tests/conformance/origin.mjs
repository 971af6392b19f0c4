// The suite's origin, with what its published version lacks: interim responses, and framing by the end of the connection.
import http from 'node:http'

/** Starts it on a free port of the loopback and resolves with its server. `suite` imports a module of the package. */
export async function start (suite) {
  const { default: config } = await suite('server/handle-config.mjs')
  const { default: test } = await suite('server/handle-test.mjs')
  const { default: state } = await suite('server/handle-state.mjs')
  const { configs } = await suite('server/utils.mjs')
  const handlers = { config, test, state }
  const server = http.createServer((request, response) => {
    const [, what, ...segments] = new URL(request.url, 'http://origin').pathname.split('/')
    const handler = handlers[what]
    if (handler === undefined) {
      response.writeHead(404).end()
      return
    }
    if (what === 'test') interim(request, response, configs.get(segments[0]))
    handler(segments, request, response)
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return server
}

function interim (request, response, requests) {
  const asked = requests?.[Number(request.headers['req-num']) - 1]
  for (const [status, fields] of asked?.interim_responses ?? []) {
    if (status === 102) response.writeProcessing()
    else if (status === 103) response.writeEarlyHints(Object.fromEntries(fields))
    else throw new Error(`no way to send an interim response ${status}`)
  }
}

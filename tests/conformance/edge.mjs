// The real binary as a plain shared cache of RFC 9111: the origin's fields decide, and nothing else.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** How long it may take to answer. */
const START = 10_000

const configuration = (listen, admin, origin) => `
server: { listen: [{ address: "127.0.0.1:${listen}" }], grace_period: 0s }
admin: { address: "127.0.0.1:${admin}" }
log: { access: access.log }
cache:
  memory: 64MiB
  store_on_hit: 1
  default_max_age: 0s
  heuristic: on
  request_directives: ignore
  set_cookie: store
  query_string: unique
  max_stale: 2m
origins: [{ directory: suite, http: { servers: ["http://127.0.0.1:${origin}"] } }]
sites: [{ host: "*", origin: suite }]
`

/** Starts it in front of an origin on this port and resolves once it serves: its base URL, and how to stop it. */
export async function start (binary, origin) {
  const [listen, admin] = [await freePort(), await freePort()]
  const folder = mkdtempSync(path.join(tmpdir(), 'leeward-conformance-'))
  const file = path.join(folder, 'leeward.yaml')
  writeFileSync(file, configuration(listen, admin, origin))
  const said = []
  const edge = spawn(binary, ['run', '--config', file], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  for (const stream of [edge.stdout, edge.stderr]) stream.on('data', part => said.push(part))
  const over = new Promise(resolve => edge.on('close', resolve).on('error', resolve))
  const stop = async () => {
    edge.kill('SIGTERM')
    await over
    rmSync(folder, { recursive: true, force: true })
    const text = Buffer.concat(said).toString()
    if (text.includes('panicked')) throw new Error(`the edge panicked:\n${text}`)
  }
  const deadline = Date.now() + START
  while (!await isReady(admin)) {
    if (edge.exitCode !== null || Date.now() > deadline) {
      await stop()
      throw new Error(`the edge does not serve:\n${Buffer.concat(said)}`)
    }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  return { base: `http://127.0.0.1:${listen}`, stop }
}

function freePort () {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

function isReady (admin) {
  return new Promise(resolve => {
    http.get({ host: '127.0.0.1', port: admin, path: '/readyz', agent: false }, answer => {
      answer.resume()
      resolve(answer.statusCode === 200)
    }).on('error', () => resolve(false))
  })
}

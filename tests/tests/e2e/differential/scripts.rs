//! What Node and Python run: servers, and clients with habits of their own.

/// Chunks, trailers, bodies of a length, none; and over HTTP/2 half of what came, with trailers.
pub(super) const SERVER: &str = r#"
const http = require('http');
http.createServer((request, response) => {
  let length = 0;
  request.on('data', (data) => { length += data.length; });
  request.on('end', () => {
    if (request.url === '/chunks') {
      response.writeHead(200, { Trailer: 'X-Sum' });
      for (let size = 1; size < 3000; size *= 3) response.write('c'.repeat(size));
      response.addTrailers({ 'X-Sum': 'none' });
      response.end();
    } else if (request.url === '/none') {
      response.writeHead(204).end();
    } else {
      response.end(String(length));
    }
  });
}).listen(Number(process.argv[1]), '::');
require('http2').createServer((request, response) => {
  let length = 0;
  request.on('data', (data) => { length += data.length; });
  request.on('end', () => {
    response.addTrailers({ 'x-sum': String(length) });
    response.end('s'.repeat(length / 2));
  });
}).listen(Number(process.argv[2]), '::');
"#;

/// Node's own client: connections that are kept, bodies in chunks, and one that waits to be asked for.
pub(super) const NODE_CLIENT: &str = r#"
const http = require('http');
const [host, port] = [process.argv[1], Number(process.argv[2])];
const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
const ask = (method, path, headers, body) => new Promise((done, failed) => {
  const request = http.request({ host, port, method, path, headers, agent }, (response) => {
    response.resume().on('end', done);
  });
  request.on('error', failed);
  if (headers.Expect) request.on('continue', () => request.end(body));
  else { for (const part of body || []) request.write(part); request.end(); }
});
(async () => {
  for (let round = 0; round < 5; round += 1) {
    await Promise.all([
      ask('GET', '/chunks', {}), ask('POST', '/echo', {}, ['a'.repeat(100), 'b'.repeat(5000)]),
      ask('DELETE', '/none', {}),
    ]);
    await ask('PUT', '/echo', { Expect: '100-continue', 'Content-Length': 7 }, '1234567');
  }
  agent.destroy();
})();
"#;

/// Node's client of HTTP/2: streams at once, with bodies of many sizes.
pub(super) const NODE2_CLIENT: &str = r#"
const http2 = require('http2');
const [authority, count] = [process.argv[1], Number(process.argv[2])];
const session = http2.connect(`http://${authority}`);
const ask = (n) => new Promise((done, failed) => {
  const head = { ':method': n % 3 ? 'PUT' : 'POST', ':path': `/half/${n}?of=${n * n}`, 'user-agent': `node ${n % 4}` };
  const stream = session.request(head);
  stream.on('error', failed).on('end', done).resume();
  for (let left = n * n * 17; left > 0; left -= 9000) stream.write('n'.repeat(Math.min(left, 9000)));
  stream.end();
});
Promise.all(Array.from({ length: count }, (_, n) => ask(n))).then(() => session.close());
"#;

/// Python: requests a few bytes at a time, several at once, methods without bodies, chunks.
pub(super) const PYTHON_CLIENT: &str = r#"
import http.client, socket, sys, time
host, nginx, node = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for port in (nginx, node):
    kept = http.client.HTTPConnection(host, port)
    for method, path, body in (('GET', '/items/1?a=b', None), ('HEAD', '/files/64k', None),
                               ('POST', '/upload', 'x' * 20000), ('GET', '/empty', None),
                               ('GET', '/files/300k', None), ('OPTIONS', '/none', None)):
        kept.request(method, path, body, {'User-Agent': 'python'})
        kept.getresponse().read()
    kept.request('POST', '/upload', iter([b'a' * 10, b'b' * 3000]), {}, encode_chunked=True)
    kept.getresponse().read()
    kept.close()
    slow = socket.create_connection((host, port))
    slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = b'GET /items/slow HTTP/1.1\r\nHost: slow\r\nUser-Agent: a few bytes\r\nConnection: close\r\n\r\n'
    for at in range(0, len(request), 5):
        slow.sendall(request[at:at + 5])
        time.sleep(0.002)
    while slow.recv(65536): pass
    many = socket.create_connection((host, port))
    line = b'GET /items/%d HTTP/1.1\r\nHost: many\r\n%s\r\n'
    many.sendall(b''.join(line % (n, b'' if n < 9 else b'Connection: close\r\n') for n in range(10)))
    while many.recv(65536): pass
"#;

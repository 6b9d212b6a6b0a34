// @jupyterlab/services straight at a gateway, as a page would use it without any jupyter_server.
//
//     MODULES=build/node node services.mjs URL TOKEN v1|legacy CHECK
//
// A check ends the process with 0, or with what was wrong on standard error.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.resolve(process.env.MODULES, 'package.json'));
const services = require('@jupyterlab/services');
const { WebSocket } = require('ws');
const { KernelManager, KernelSpecManager, SessionManager, KernelAPI, ServerConnection } = services;

const [, , url, token, protocol, check] = process.argv;
const opened = [];
const headers = process.env.PROXIED ? { 'X-Forwarded-For': '192.0.2.7' } : {}; // as nginx would add

// JupyterLab always offers v1; somebody who offers nothing gets the older protocol.
class Socket extends WebSocket {
  constructor(address, offered) {
    super(address, protocol === 'v1' ? offered : [], { headers });
    opened.push(this);
  }
}

function settings(more = {}) {
  return ServerConnection.makeSettings({
    baseUrl: url + '/', wsUrl: url.replace('http', 'ws') + '/', token, appendToken: true,
    WebSocket: Socket, ...more
  });
}

const serverSettings = settings();

// Waits for a signal of Lumino to say something that is wanted.
function signal(source, wanted, seconds = 30) {
  return new Promise((resolve, reject) => {
    // What a manager still waits for when it is disposed of is rejected, and nobody's.
process.on('unhandledRejection', error => {
  if (String(error).includes('is disposed')) return;
  console.error(error);
  process.exit(1);
});
const timer = setTimeout(() => reject(new Error('no such signal: ' + wanted)), seconds * 1000);
    source.connect(function listen(_, value) {
      if (wanted(value)) {
        clearTimeout(timer);
        source.disconnect(listen);
        resolve(value);
      }
    });
  });
}

async function execute(kernel, code, options = {}) {
  const future = kernel.requestExecute({ code, ...options });
  const said = [];
  future.onIOPub = message => said.push(message);
  if (options.onStdin) future.onStdin = options.onStdin;
  const reply = await future.done;
  const text = said.filter(m => m.header.msg_type === 'stream').map(m => m.content.text).join('');
  return { reply, said, text };
}

async function withKernel(work, name = 'python3') {
  const manager = new KernelManager({ serverSettings });
  await manager.ready;
  const kernel = await manager.startNew({ name });
  try {
    await work(kernel, manager);
  } finally {
    await kernel.shutdown();
    kernel.dispose();
    manager.dispose();
  }
}

const checks = {
  async life() {
    await withKernel(async (kernel, manager) => {
      const info = await kernel.info;
      assert.equal(info.implementation, 'ipython');
      assert.equal((await kernel.spec).display_name, 'python3');
      assert.equal((await execute(kernel, 'print(6 * 7)')).text, '42\n');
      assert.equal(opened[0].protocol, protocol === 'v1' ? 'v1.kernel.websocket.jupyter.org' : '');
      const failed = await execute(kernel, '1 / 0');
      assert.equal(failed.reply.content.ename, 'ZeroDivisionError');
      if (kernel.status !== 'idle') await signal(kernel.statusChanged, s => s === 'idle');
      await manager.refreshRunning();
      assert.deepEqual([...manager.running()].map(m => m.id), [kernel.id]);
      const model = await manager.findById(kernel.id);
      assert.equal(model.name, 'python3');
      assert.equal((await KernelAPI.getKernelModel(kernel.id, serverSettings)).id, kernel.id);
      const [complete, inspected] = await Promise.all([
        kernel.requestComplete({ code: 'impor', cursor_pos: 5 }),
        kernel.requestInspect({ code: 'print', cursor_pos: 3, detail_level: 0 })]);
      assert.ok(complete.content.matches.includes('import'));
      assert.ok(inspected.content.found);
      assert.equal((await kernel.requestHistory(
        { output: false, raw: true, hist_access_type: 'tail', n: 1 })).content.status, 'ok');
    });
  },

  async interrupt() {
    await withKernel(async kernel => {
      const future = kernel.requestExecute({ code: 'import time\nprint("on")\ntime.sleep(60)' });
      await new Promise(resolve => { future.onIOPub = m => m.header.msg_type === 'stream' && resolve(); });
      assert.equal(kernel.status, 'busy');
      await kernel.interrupt();
      const reply = await future.done;
      assert.equal(reply.content.ename, 'KeyboardInterrupt');
      assert.equal((await execute(kernel, 'print(1)')).text, '1\n');
    });
  },

  async restart() {
    await withKernel(async kernel => {
      await execute(kernel, 'x = 1');
      await kernel.restart();
      assert.equal((await execute(kernel, 'x')).reply.content.ename, 'NameError');
      assert.equal((await execute(kernel, 'print(2)')).text, '2\n');
    });
  },

  async shutdown() {
    const manager = new KernelManager({ serverSettings });
    await manager.ready;
    const kernel = await manager.startNew({ name: 'quick' });
    await kernel.info;
    await manager.shutdown(kernel.id);
    assert.ok(kernel.isDisposed || kernel.status === 'dead');
    await manager.refreshRunning();
    assert.deepEqual([...manager.running()], []);
    assert.equal(await KernelAPI.getKernelModel(kernel.id, serverSettings), undefined);
    await KernelAPI.shutdownKernel(kernel.id, serverSettings); // 404 is only a warning
    manager.dispose();
  },

  async dies() {
    await withKernel(async kernel => {
      await kernel.info;
      const again = signal(kernel.statusChanged, s => s === 'autorestarting');
      kernel.requestExecute({ code: 'import os; os._exit(3)' }).done.catch(() => {});
      await again;
      await signal(kernel.statusChanged, s => s === 'idle');
      assert.equal((await execute(kernel, 'print("alive")')).text, 'alive\n');
    });
  },

  async input() {
    await withKernel(async kernel => {
      const future = kernel.requestExecute({ code: 'print("got", input("name? "))', allow_stdin: true });
      const said = [];
      future.onIOPub = m => m.header.msg_type === 'stream' && said.push(m.content.text);
      future.onStdin = message => {
        assert.equal(message.content.prompt, 'name? ');
        kernel.sendInputReply({ value: 'Ada', status: 'ok' }, message.header);
      };
      await future.done;
      assert.ok(said.join('').includes('got Ada\n'), said.join(''));
    });
  },

  async comms() {
    await withKernel(async kernel => {
      const echo = `
from ipykernel.comm import Comm
def opened(comm, message):
    @comm.on_msg
    def received(message):
        comm.send({'back': message['content']['data']}, buffers=[bytes(b)[::-1] for b in message['buffers']])
get_ipython().kernel.comm_manager.register_target('echo', opened)`;
      assert.equal((await execute(kernel, echo)).reply.content.status, 'ok');
      const comm = kernel.createComm('echo');
      const answered = new Promise(resolve => { comm.onMsg = resolve; });
      await comm.open({ a: 1 }).done;
      const big = new Uint8Array(3_000_000).map((_, at) => at * 7);
      const buffers = [new Uint8Array([0x80, 0xff, 0, 1]).buffer, new ArrayBuffer(0), big.buffer];
      await comm.send({ n: 5 }, {}, buffers).done;
      const back = await answered;
      assert.deepEqual(back.content.data, { back: { n: 5 } });
      assert.deepEqual(back.buffers.map(b => b.byteLength), [4, 0, 3_000_000]);
      const bytes = b => new Uint8Array(b.buffer ?? b, b.byteOffset ?? 0, b.byteLength);
      assert.deepEqual([...bytes(back.buffers[0])], [1, 0, 0xff, 0x80]);
      assert.ok(bytes(back.buffers[2]).every((byte, at) => byte === big[2_999_999 - at]));
      assert.equal(Object.keys((await kernel.requestCommInfo({})).content.comms).length, 1);
    });
  },

  async several() {
    await withKernel(async (kernel, manager) => {
      const others = [1, 2, 3].map(() => manager.connectTo({ model: kernel.model }));
      await Promise.all(others.map(other => other.info));
      assert.equal(new Set([kernel, ...others].map(k => k.clientId)).size, 4);
      const heard = others.map(other => {
        const texts = [];
        other.iopubMessage.connect((_, m) => m.header.msg_type === 'stream' && texts.push(m.content.text));
        return texts;
      });
      const results = await Promise.all(
        [kernel, ...others].map((each, n) => execute(each, `print('from ${n}')`)));
      assert.deepEqual(results.map(r => r.text), [0, 1, 2, 3].map(n => `from ${n}\n`));
      await execute(others[0], 'pass');
      for (const texts of heard.slice(1))
        assert.deepEqual(texts.join('').trim().split('\n').sort(), [0, 1, 2, 3].map(n => `from ${n}`));
      assert.equal((await KernelAPI.getKernelModel(kernel.id, serverSettings)).connections, 4);
      others.forEach(other => other.dispose());
      assert.equal((await execute(kernel, 'print("still")')).text, 'still\n');
    });
  },

  async reconnects() {
    await withKernel(async kernel => {
      await kernel.info;
      const code = 'import time\nfor i in range(400):\n    print(i, flush=True)\n    time.sleep(0.005)';
      const future = kernel.requestExecute({ code });
      let text = '';
      future.onIOPub = m => { if (m.header.msg_type === 'stream') text += m.content.text; };
      for (let cuts = 0; cuts < 2; cuts++) {
        await signal(kernel.iopubMessage, m => m.header.msg_type === 'stream');
        opened.at(-1)._socket.destroy();
        await signal(kernel.connectionStatusChanged, s => s === 'connected', 60);
      }
      await future.done;
      const expected = [...Array(400).keys()].map(n => `${n}\n`).join('');
      assert.equal(text, expected);
    });
  },

  async specs() {
    const manager = new KernelSpecManager({ serverSettings });
    await manager.ready;
    assert.equal(manager.specs.default, 'python3');
    const names = Object.keys(manager.specs.kernelspecs);
    for (const name of ['python3', 'bash', 'ir', 'quick']) assert.ok(names.includes(name), names.join());
    const spec = manager.specs.kernelspecs.bash;
    assert.deepEqual([spec.name, spec.language, spec.display_name], ['bash', 'bash', 'bash']);
    manager.dispose();
  },

  async sessions() {
    const kernelManager = new KernelManager({ serverSettings });
    const manager = new SessionManager({ kernelManager, serverSettings });
    await manager.ready;
    const session = await manager.startNew({ path: 'some dir/a.ipynb', name: 'a', type: 'notebook',
                                             kernel: { name: 'python3' } });
    assert.equal((await execute(session.kernel, 'print(1)')).text, '1\n');
    const first = session.kernel.id;
    await session.setPath('b.ipynb');
    await session.setName('other');
    await manager.refreshRunning();
    assert.deepEqual([...manager.running()].map(m => [m.id, m.path, m.name]), [[session.id, 'b.ipynb', 'other']]);
    assert.equal((await manager.findByPath('b.ipynb')).id, session.id);
    await session.changeKernel({ name: 'bash' });
    assert.notEqual(session.kernel.id, first);
    assert.equal((await execute(session.kernel, 'echo 2')).text, '2\n');
    await kernelManager.refreshRunning();
    assert.deepEqual([...kernelManager.running()].map(m => m.id), [session.kernel.id]);
    await session.shutdown();
    await manager.refreshRunning();
    await kernelManager.refreshRunning();
    assert.deepEqual([[...manager.running()], [...kernelManager.running()]], [[], []]);
    manager.dispose();
    kernelManager.dispose();
  },

  async tokens() {
    for (const wrong of ['', 'wrong']) {
      const manager = new KernelManager({ serverSettings: settings({ token: wrong }) });
      const error = await manager.startNew({ name: 'quick' }).then(() => null, e => e);
      assert.ok([401, 403].includes(error?.response?.status), String(error));
      manager.dispose();
    }
    const error = await KernelAPI.startNew({ name: 'nosuch' }, serverSettings).then(() => null, e => e);
    assert.ok(error.response.status >= 400, String(error));
    assert.ok(error.message.length > 5 && !error.message.includes('Traceback'), error.message);
  }
};

// What a manager still waits for when it is disposed of is rejected, and nobody's.
process.on('unhandledRejection', error => {
  if (String(error).includes('is disposed')) return;
  console.error(error);
  process.exit(1);
});
const timer = setTimeout(() => { console.error('too long'); process.exit(2); }, 100_000);
try {
  await checks[check]();
} catch (error) {
  console.error(error);
  process.exit(1);
}
clearTimeout(timer);
process.exit(0);

// Loaded before a container's own script, by --require: the task has an address of its own, and
// here all tasks share one machine. Listening on every interface, or on the loopback one, becomes
// listening on the task's address; so does connecting to oneself. Ports below 1024 are moved up,
// because they need root here.
'use strict';
const net = require('net');

const own = process.env.TWIN_ADDRESS;
const EVERYWHERE = new Set(['', '0.0.0.0', '::', 'localhost', '127.0.0.1', '::1']);
const LOOPBACK = new Set(['localhost', '127.0.0.1', '::1', '0.0.0.0']);
const moved = (port) => (Number(port) > 0 && Number(port) < 1024 ? Number(port) + 8000 : port);

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...given) {
  const [first, second, third] = given;
  const callback = given.find((item) => typeof item === 'function');
  let options = null;
  if (first !== null && typeof first === 'object' && 'port' in first) {
    options = { ...first };
  } else if (first === undefined || typeof first === 'number' || /^\d+$/.test(String(first))) {
    options = { port: first ?? 0 };
    if (typeof second === 'string') options.host = second;
    const backlog = typeof second === 'number' ? second : third;
    if (typeof backlog === 'number') options.backlog = backlog;
  }
  if (options === null) return listen.apply(this, given);
  if (EVERYWHERE.has(options.host ?? '')) options.host = own;
  options.port = moved(options.port);
  return callback ? listen.call(this, options, callback) : listen.call(this, options);
};

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...given) {
  // `net.connect` hands over what it has normalized, as one list.
  const options = Array.isArray(given[0]) ? given[0][0] : given[0];
  if (options !== null && typeof options === 'object' && 'port' in options) {
    if (LOOPBACK.has(options.host ?? 'localhost')) {
      options.host = own;
      options.port = moved(options.port);
    }
  }
  return connect.apply(this, given);
};

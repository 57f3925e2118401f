/**
 * Writes ONNX models of one operator in a row, in the protocol-buffer encoding of onnx.proto3 (field
 * numbers in the comments), so that a benchmark needs no other tool for them.
 */

/** @param {number} value */
function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Uint8Array.from([...bytes, value]);
}

/** @param {Uint8Array[]} parts */
function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/**
 * A field: whole numbers as they are, texts and nested messages behind their length.
 *
 * @param {number} field
 * @param {number | string | Uint8Array} value
 */
function field(field, value) {
  if (typeof value === 'number') return joined([varint(field * 8), varint(value)]);
  const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
  return joined([varint(field * 8 + 2), varint(bytes.length), bytes]);
}

/** @param {Uint8Array[]} fields */
const message = (...fields) => joined(fields);

const [FLOAT, UINT8] = [1, 2];

/**
 * TensorProto: dims = 1, data_type = 2, name = 8, raw_data = 9.
 *
 * @param {string} name
 * @param {number[]} dims
 * @param {Float32Array | Uint8Array} values
 */
function tensor(name, dims, values) {
  const { buffer, byteOffset, byteLength } = values;
  return message(
    ...dims.map((dim) => field(1, dim)),
    field(2, values instanceof Float32Array ? FLOAT : UINT8),
    field(8, name),
    field(9, new Uint8Array(buffer, byteOffset, byteLength)),
  );
}

/**
 * ValueInfoProto: name = 1, type = 2 with tensor_type = 1 of elem_type = 1, shape = 2 of dim = 1 with
 * dim_value = 1.
 *
 * @param {string} name
 * @param {number[]} dims
 */
function value(name, dims) {
  const shape = message(...dims.map((dim) => field(1, message(field(1, dim)))));
  const type = message(field(1, message(field(1, FLOAT), field(2, shape))));
  return message(field(1, name), field(2, type));
}

/**
 * NodeProto: input = 1, output = 2, op_type = 4, attribute = 5 (name = 1, i = 3, type = 20, where 2 is
 * a whole number), domain = 7.
 *
 * @param {string} operator
 * @param {string[]} inputs
 * @param {string} output
 * @param {Record<string, number>} attributes
 * @param {string} domain
 */
function node(operator, inputs, output, attributes = {}, domain = '') {
  const attribute = ([name, number] = ['', 0]) =>
    field(5, message(field(1, name), field(3, number), field(20, 2)));
  return message(
    ...inputs.map((name) => field(1, name)),
    field(2, output),
    field(4, operator),
    ...Object.entries(attributes).map(attribute),
    field(7, domain),
  );
}

/**
 * Products of `rows` rows with the same square weight, one behind the other: f32, or in 4 bits as blocks
 * of 32 with a scale each (`com.microsoft.MatMulNBits`).
 *
 * @param {{ rows: number, side: number, count: number, format: 'f32' | '4bit' }} options
 */
export function productsModel({ rows, side, count, format }) {
  const random = (/** @type {number} */ length) =>
    Float32Array.from({ length }, () => (Math.random() * 2 - 1) / 32);
  const blocks = side / 32;
  const weights =
    format === 'f32'
      ? [tensor('w', [side, side], random(side * side))]
      : [
          tensor(
            'w',
            [side, blocks, 16],
            Uint8Array.from({ length: side * blocks * 16 }, () => Math.random() * 256),
          ),
          tensor('scales', [side * blocks], random(side * blocks)),
        ];
  const nodes = Array.from({ length: count }, (_, index) => {
    const [from, to] = [`x${index}`, `x${index + 1}`];
    return format === 'f32'
      ? node('MatMul', [from, 'w'], to)
      : node(
          'MatMulNBits',
          [from, 'w', 'scales'],
          to,
          // Activations in bytes, as LlavaGuard takes them too.
          { K: side, N: side, bits: 4, block_size: 32, accuracy_level: 4 },
          'com.microsoft',
        );
  });
  // GraphProto: node = 1, name = 2, initializer = 5, input = 11, output = 12.
  const graph = message(
    ...nodes.map((bytes) => field(1, bytes)),
    field(2, 'products'),
    ...weights.map((bytes) => field(5, bytes)),
    field(11, value('x0', [rows, side])),
    field(12, value(`x${count}`, [rows, side])),
  );
  // ModelProto: ir_version = 1, graph = 7, opset_import = 8 with domain = 1 and version = 2.
  return message(
    field(1, 8),
    field(7, graph),
    field(8, message(field(1, ''), field(2, 17))),
    field(8, message(field(1, 'com.microsoft'), field(2, 1))),
  );
}

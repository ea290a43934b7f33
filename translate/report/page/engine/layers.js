// Layers shared by all models: matrix products, layer norm, softmax and positions. The counterpart of
// translate/model/layers.py.
//
// A matrix is {data: Float32Array, rows, columns}, row by row. N rows, I inputs, O outputs, D width.

/** A matrix of zeros, or of the given numbers. */
function matrix(rows, columns, data = new Float32Array(rows * columns)) {
  return { data, rows, columns };
}

/** Row n of a matrix. It shares the matrix's memory. */
function rowOf(x, n) {
  return x.data.subarray(n * x.columns, (n + 1) * x.columns);
}

/** Apply a function of numbers, of two matrices of one shape at most: y[i] = act(x[i], other[i]). */
function mapped(x, act, other = x) {
  return matrix(x.rows, x.columns, x.data.map((number, i) => act(number, other.data[i])));
}

function add(x, y) {
  return mapped(x, (a, b) => a + b, y);
}

/** A linear layer: x Wᵀ + b. */
class Linear {
  constructor(weights, name) {
    this.weight = weights[`${name}.weight`]; // (O, I)
    this.bias = weights[`${name}.bias`]?.data ?? new Float32Array(this.weight.rows);
  }

  /** (N, I) -> (N, O) */
  forward(x) {
    const { data: w, rows: numOutputs, columns: width } = this.weight;
    const { data } = x;
    const y = matrix(x.rows, numOutputs);
    // Four rows of W at a time: they stay in the cache for all rows of x. JavaScript adds in double precision. Browsers
    // need twice the time if these numbers are in arrays, even where arrays are destructured at once.
    for (let first = 0, last = numOutputs - 1; first < numOutputs; first += 4) {
      const o1 = Math.min(first + 1, last), o2 = Math.min(first + 2, last), o3 = Math.min(first + 3, last);
      const w0 = first * width, w1 = o1 * width, w2 = o2 * width, w3 = o3 * width;
      for (let n = 0; n < x.rows; n++) {
        let sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
        for (let i = 0, start = n * width; i < width; i++) {
          const number = data[start + i];
          sum0 += number * w[w0 + i];
          sum1 += number * w[w1 + i];
          sum2 += number * w[w2 + i];
          sum3 += number * w[w3 + i];
        }
        const row = n * numOutputs;
        y.data[row + first] = sum0 + this.bias[first];
        y.data[row + o1] = sum1 + this.bias[o1];
        y.data[row + o2] = sum2 + this.bias[o2];
        y.data[row + o3] = sum3 + this.bias[o3];
      }
    }
    return y;
  }
}

/** Normalize each row to mean 0 and variance 1, then scale and shift (Ba et al. 2016). */
class LayerNorm {
  constructor(weights, name) {
    this.weight = weights[`${name}.weight`].data; // (D)
    this.bias = weights[`${name}.bias`].data;
  }

  /** (N, D) -> (N, D) */
  forward(x) {
    const y = matrix(x.rows, x.columns);
    for (let n = 0; n < x.rows; n++) {
      const row = rowOf(x, n);
      const mean = row.reduce((sum, number) => sum + number, 0) / x.columns;
      const variance = row.reduce((sum, number) => sum + (number - mean) ** 2, 0) / x.columns;
      const scale = 1 / Math.sqrt(variance + 1e-5);
      rowOf(y, n).set(row.map((number, i) => (number - mean) * scale * this.weight[i] + this.bias[i]));
    }
    return y;
  }
}

/** The rows of an embedding table: (V, D) -> (N, D), times a factor. */
function embedded(table, pieces, factor) {
  const x = matrix(pieces.length, table.columns);
  pieces.forEach((piece, n) => rowOf(x, n).set(rowOf(table, piece)));
  return mapped(x, (number) => number * factor);
}

/** Replace numbers by their softmax, in place. */
function softmax(numbers) {
  const most = numbers.reduce((a, b) => Math.max(a, b), -Infinity);
  let sum = 0;
  for (let i = 0; i < numbers.length; i++) sum += numbers[i] = Math.exp(numbers[i] - most);
  for (let i = 0; i < numbers.length; i++) numbers[i] /= sum;
}

/** position * 10000^(-2 i / width) for each pair i of dimensions. */
function anglesOf(position, width) {
  return Array.from({ length: width / 2 }, (_, i) => position * Math.exp((2 * i * -Math.log(10000)) / width));
}

/** The sinusoidal encodings of N positions, (N, D) (Vaswani et al. 2017, section 3.5). */
function sinusoidalPositions(positions, width) {
  const encodingOf = (position) => anglesOf(position, width).flatMap((angle) => [Math.sin(angle), Math.cos(angle)]);
  return matrix(positions.length, width, Float32Array.from(positions.flatMap(encodingOf)));
}

/** A function that rotates the queries or keys (N, D) of all heads by their positions (Su et al. 2021, equation 34). */
function rotaryEmbedding(positions, headWidth) {
  const half = headWidth / 2; // dimensions i and i + half of a head form a pair
  const angles = positions.map((position) => anglesOf(position, headWidth));
  const cosines = angles.map((row) => row.map(Math.cos));
  const sines = angles.map((row) => row.map(Math.sin));
  const rotated = (x) => (number, at) => {
    const n = Math.floor(at / x.columns);
    const i = at % half;
    const isFirst = at % headWidth < half;
    const other = isFirst ? -x.data[at + half] : x.data[at - half];
    return number * cosines[n][i] + other * sines[n][i];
  };
  return (x) => matrix(x.rows, x.columns, x.data.map(rotated(x)));
}

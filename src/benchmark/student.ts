/**
 * The probability that Student's t with so many degrees of freedom is at least as far from 0 as `t`, on
 * either side: the p-value of a two-sided test. By the regularized incomplete beta function (Abramowitz
 * and Stegun, 26.7.1 and 26.5.8), to about 12 digits.
 */
export function twoSidedP(t: number, freedom: number): number {
	if (!(freedom > 0)) throw new RangeError(`degrees of freedom must be above 0, not ${freedom}`);
	if (Number.isNaN(t)) throw new RangeError("t must be a number");
	return regularizedBeta(freedom / (freedom + t * t), freedom / 2, 0.5);
}

/** I_x(a, b), for x from 0 to 1. */
function regularizedBeta(x: number, a: number, b: number): number {
	if (x <= 0) return 0;
	if (x >= 1) return 1;
	const front = Math.exp(
		logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x),
	);
	// The fraction converges fast on this side of the mean; on the other by I_x(a, b) = 1 - I_{1-x}(b, a).
	if (x < (a + 1) / (a + b + 2)) return (front * betaFraction(x, a, b)) / a;
	return 1 - (front * betaFraction(1 - x, b, a)) / b;
}

const stepsMax = 500;
const precision = 1e-15;
const tiny = 1e-300;

/** The continued fraction of the incomplete beta function, evaluated forwards as Lentz does it. */
function betaFraction(x: number, a: number, b: number): number {
	const notZero = (value: number) => (Math.abs(value) < tiny ? tiny : value);
	let c = 1;
	let d = 1 / notZero(1 - ((a + b) * x) / (a + 1));
	let fraction = d;
	for (let m = 1; m <= stepsMax; m++) {
		const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
		const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
		let change = 1;
		for (const term of [even, odd]) {
			d = 1 / notZero(1 + term * d);
			c = notZero(1 + term / c);
			change = c * d;
			fraction *= change;
		}
		if (Math.abs(change - 1) < precision) break;
	}
	return fraction;
}

/** Stirling's series from 10 up (Abramowitz and Stegun, 6.1.41); below by the recurrence. */
function logGamma(x: number): number {
	let shift = 0;
	let at = x;
	for (; at < 10; at++) shift += Math.log(at);
	const square = 1 / (at * at);
	const series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / at;
	return (at - 0.5) * Math.log(at) - at + Math.log(2 * Math.PI) / 2 + series - shift;
}

/** Where the platform can be asked to place an object. */
type Region = DurableObjectLocationHint;

/** The platform's locations by the airport that each is called after, under the hint that is nearest. */
const airports: Readonly<Record<Region, string>> = {
	wnam: "ABQ ANC BOI DEN FSD GEG HNL LAS LAX PDX PHX RNO SAN SEA SFO SJC SLC SMF YVR YWG YXE YYC YEG GDL HMO TIJ",
	enam: "ATL AUS BGR BNA BOS BUF CLE CLT CMH CVG DFW DTW EWR FLL IAD IAH IND JAX JFK MCI MCO MEM MFE MIA MSP OKC OMA ORD ORF PHL PIT RDU RIC SAT STL TLH TPA YHZ YOW YUL YYZ MEX QRO GUA SAL SAP TGU MGA SJO PTY KIN POS SDQ SJU BGI CUR GND",
	sam: "ARI ARU ASU BAQ BEL BNU BOG BSB CAC CAW CCP CFC CGB CLO CNF COR CWB EZE FLN FOR GEO GIG GRU GYE GYN ITJ JDO JOI LIM LPB MAO MDE MVD NEU NQN PBM PMW POA QWJ REC SCL SJK SJP SOD SSA UDI UIO VCP VIX XAP",
	weur: "AMS BCN BOD BRU CDG CPH DUB DUS EDI FRA GVA HAM LHR LIS LUX LYS MAD MAN MRS MUC OPO ORK OSL PMO FCO MXP STR TXL BER ZRH KEF GOT ARN",
	eeur: "ADB ATH BEG BTS BUD BUH OTP CFU DME EVN HEL IST KBP KIV LCA LED PRG RIX SKG SKP SOF SVX TBS TIA TLL VIE VNO WAW ZAG MSQ KJA GYD ALA NQZ",
	apac: "AMD BLR BOM CCU CJB CNN COK CMB DAC DEL HYD ISB KHI KNU KTM LHE MAA MLE NAG PAT PBH",
	"apac-ne": "FUK HKG ICN KHH KIX MFM NRT OKA TPE ULN",
	"apac-se": "BKK BWN CEB CGK CGP CNX CRK DPS HAN JHB JOG KCH KUL MNL PNH RGN SGN SIN VTE",
	oc: "ADL AKL BNE CBR CHC GUM HBA MEL NOU PER PPT SUV SYD",
	afr: "AAE ABJ ACC ADD ALG ASK CPT CMN DAR DKR DUR DLA EBB FIH GBE HRE JIB JNB KGL LAD LLW LOS LUN MBA MPM MRU NBO ORN OUA RUN TNR TUN WDH",
	me: "AMM BAH BEY BGW BSR DMM DOH DXB EBL HFA ISU JED KWI MCT NJF RUH TLV XNH ZDM BSO AUH",
};

/** For a location that is too new for the table. */
const continents: Readonly<Record<string, Region>> = {
	NA: "enam",
	SA: "sam",
	EU: "weur",
	AS: "apac-se",
	OC: "oc",
	AF: "afr",
};

const fallback: Region = "enam";

const regionOfAirport = new Map(
	Object.entries(airports).flatMap(([region, codes]) =>
		codes.split(" ").map((code) => [code, region as Region] as const),
	),
);

/** What the platform says of where a request came in. */
export type Whereabouts = Partial<Pick<IncomingRequestCfProperties, "colo" | "continent">>;

/** The region of the location that serves a request; always the same one where nothing is said. */
export function regionOf({ colo, continent }: Whereabouts): Region {
	return regionOfAirport.get(colo ?? "") ?? continents[continent ?? ""] ?? fallback;
}

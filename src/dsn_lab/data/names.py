"""Names of the datasets: UCR (128 univariate), UEA (30 multivariate) and three UCI problems."""

import difflib
from collections.abc import Mapping

from dsn_lab.errors import UserError


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


UCR: tuple[str, ...] = _words(
    """
    ACSF1 Adiac AllGestureWiimoteX AllGestureWiimoteY AllGestureWiimoteZ ArrowHead Beef
    BeetleFly BirdChicken BME Car CBF Chinatown ChlorineConcentration CinCECGTorso Coffee
    Computers CricketX CricketY CricketZ Crop DiatomSizeReduction DistalPhalanxOutlineAgeGroup
    DistalPhalanxOutlineCorrect DistalPhalanxTW DodgerLoopDay DodgerLoopGame DodgerLoopWeekend
    Earthquakes ECG200 ECG5000 ECGFiveDays ElectricDevices EOGHorizontalSignal EOGVerticalSignal
    EthanolLevel FaceAll FaceFour FacesUCR FiftyWords Fish FordA FordB FreezerRegularTrain
    FreezerSmallTrain Fungi GestureMidAirD1 GestureMidAirD2 GestureMidAirD3 GesturePebbleZ1
    GesturePebbleZ2 GunPoint GunPointAgeSpan GunPointMaleVersusFemale GunPointOldVersusYoung Ham
    HandOutlines Haptics Herring HouseTwenty InlineSkate InsectEPGRegularTrain
    InsectEPGSmallTrain InsectWingbeatSound ItalyPowerDemand LargeKitchenAppliances Lightning2
    Lightning7 Mallat Meat MedicalImages MelbournePedestrian MiddlePhalanxOutlineAgeGroup
    MiddlePhalanxOutlineCorrect MiddlePhalanxTW MixedShapesRegularTrain MixedShapesSmallTrain
    MoteStrain NonInvasiveFetalECGThorax1 NonInvasiveFetalECGThorax2 OliveOil OSULeaf
    PhalangesOutlinesCorrect Phoneme PickupGestureWiimoteZ PigAirwayPressure PigArtPressure
    PigCVP PLAID Plane PowerCons ProximalPhalanxOutlineAgeGroup ProximalPhalanxOutlineCorrect
    ProximalPhalanxTW RefrigerationDevices Rock ScreenType SemgHandGenderCh2 SemgHandMovementCh2
    SemgHandSubjectCh2 ShakeGestureWiimoteZ ShapeletSim ShapesAll SmallKitchenAppliances
    SmoothSubspace SonyAIBORobotSurface1 SonyAIBORobotSurface2 StarLightCurves Strawberry
    SwedishLeaf Symbols SyntheticControl ToeSegmentation1 ToeSegmentation2 Trace TwoLeadECG
    TwoPatterns UMD UWaveGestureLibraryAll UWaveGestureLibraryX UWaveGestureLibraryY
    UWaveGestureLibraryZ Wafer Wine WordSynonyms Worms WormsTwoClass Yoga
    """
)
# Of those, what came with the archive of 2018; the others are the 85 of 2015.
UCR_OF_2018: tuple[str, ...] = _words(
    """
    ACSF1 AllGestureWiimoteX AllGestureWiimoteY AllGestureWiimoteZ BME Chinatown Crop
    DodgerLoopDay DodgerLoopGame DodgerLoopWeekend EOGHorizontalSignal EOGVerticalSignal
    EthanolLevel FreezerRegularTrain FreezerSmallTrain Fungi GestureMidAirD1 GestureMidAirD2
    GestureMidAirD3 GesturePebbleZ1 GesturePebbleZ2 GunPointAgeSpan GunPointMaleVersusFemale
    GunPointOldVersusYoung HouseTwenty InsectEPGRegularTrain InsectEPGSmallTrain
    MelbournePedestrian MixedShapesRegularTrain MixedShapesSmallTrain PickupGestureWiimoteZ
    PigAirwayPressure PigArtPressure PigCVP PLAID PowerCons Rock SemgHandGenderCh2
    SemgHandMovementCh2 SemgHandSubjectCh2 ShakeGestureWiimoteZ SmoothSubspace UMD
    """
)
UEA: tuple[str, ...] = _words(
    """
    ArticularyWordRecognition AtrialFibrillation BasicMotions CharacterTrajectories Cricket
    DuckDuckGeese EigenWorms Epilepsy ERing EthanolConcentration FaceDetection FingerMovements
    HandMovementDirection Handwriting Heartbeat InsectWingbeat JapaneseVowels Libras LSST
    MotorImagery NATOPS PEMS-SF PenDigits PhonemeSpectra RacketSports SelfRegulationSCP1
    SelfRegulationSCP2 SpokenArabicDigits StandWalkJump UWaveGestureLibrary
    """
)
UCI: tuple[str, ...] = ("DailySport", "EEG2", "HAR")

_ARCHIVE_OF = {
    name: archive for archive, names in (("UCR", UCR), ("UEA", UEA), ("UCI", UCI)) for name in names
}


def archive_of(name: str, added: Mapping[str, str] | None = None) -> str:
    """Return the archive (``"UCR"``, ``"UEA"`` or ``"UCI"``) that holds a dataset.

    Args:
        name: the dataset's name, case-sensitive.
        added: the archive of each dataset that only the data folder knows.

    Raises:
        UserError: no dataset has this name; the message offers the nearest known ones.
    """
    every = {**(added or {}), **_ARCHIVE_OF}
    if name in every:
        return every[name]
    known = {known_name.lower(): known_name for known_name in every}
    near = [known[key] for key in difflib.get_close_matches(str(name).lower(), known, n=3)]
    hint = f"did you mean {' or '.join(near)}?" if near else "the UCR, UEA and UCI names are known."
    raise UserError(
        f"dataset {name!r} is not one of the {len(every)} known: {hint} Your own data: "
        "dataset=own dataset.path=PATH"
    )

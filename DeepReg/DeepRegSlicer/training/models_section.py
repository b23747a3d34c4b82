"""*Models*: what DeepReg can use, with their cards; taken in, passed on, deleted, made of a run, compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import qt
import slicer
from DeepRegLib.errors import DeepRegError
from DeepRegLib.models.card import CARD_SUFFIX, safe_name
from DeepRegLib.models.library import delete_model, writable_user_folder
from slicer.i18n import tr as _

from ..background_process import BackgroundProcess, QtProcess
from ..installation import install_missing
from ..long_words import breakable
from ..row_table import choose_by_row, row_pixels
from .command import REGISTRATOR, TRAINING, Command
from .compare_section import CompareSection
from .model_list import NOTHING, ModelList, ModelRow, card_text, read_models
from .parameters import DeepRegTrainParameters

ROWS_SHOWN = 6
"""More are reached by scrolling."""
WIDEST_LETTERS = 18
"""A column of words is no wider than so many letters; the tool tip has all of them."""


class ModelsSection:
    """``chosen_run()`` gives the folder of the run that is chosen in the panel; ``new_process`` makes the processes
    that verify, copy, export and register; tests give fake ones."""

    def __init__(
        self,
        ui,
        scene: slicer.vtkMRMLScene,
        chosen_run: Callable[[], Path | None],
        new_process: Callable[[], BackgroundProcess] = QtProcess,
    ) -> None:
        self._ui = ui
        self._chosen_run = chosen_run
        self.new_process = new_process
        self._models = ModelList((), ())
        self._chosen = ""
        self._filling = False
        self._command: Command | None = None
        self.compare = CompareSection(ui, scene, lambda: self.new_process())

    def connect(self) -> None:
        ui = self._ui
        table = ui.modelTable
        choose_by_row(table)
        table.horizontalHeader().setFixedHeight(row_pixels(table))
        table.horizontalHeader().setStretchLastSection(True)
        table.horizontalHeader().setHighlightSections(False)
        table.connect("currentCellChanged(int,int,int,int)", lambda row, *_others: self._choose(row))
        ui.cardLabel.setTextFormat(qt.Qt.RichText)
        ui.modelMessageLabel.setTextFormat(qt.Qt.PlainText)
        ui.useButton.connect("clicked(bool)", lambda *_args: self._use_run())
        ui.importButton.connect("clicked(bool)", lambda *_args: self._import())
        ui.exportButton.connect("clicked(bool)", lambda *_args: self._export())
        ui.deleteButton.connect("clicked(bool)", lambda *_args: self._delete())
        ui.modelsSection.connect("contentsCollapsed(bool)", lambda *_args: self._show_message())
        self.compare.connect()
        self._enable()

    def disconnect(self) -> None:
        """Stop what runs: the module is reloaded or the application quits. Half a model is never left behind."""
        command, self._command = self._command, None
        if command is not None:
            command.abandon()
        self.compare.abandon()

    def enter(self) -> None:
        """The panel is shown: models may have come or gone meanwhile."""
        self.read()

    def leave(self) -> None:
        """What runs goes on."""

    def close_scene(self) -> None:
        """Models lie on the disk; only a comparison needs nodes."""
        self.compare.abandon()
        self.compare.update(None)

    def update(self, parameters: DeepRegTrainParameters | None) -> None:
        self.compare.update(parameters)

    def read(self) -> None:
        """List the models that there are now, and keep the choice."""
        self._models = read_models()
        self._fill()
        self.compare.read_methods()

    # The table and the card.

    def _fill(self) -> None:
        table, rows = self._ui.modelTable, self._models.rows
        titles = [_("Model"), _("Method"), _("Error, mm"), _("Data licence"), _("MB"), _("Where")]
        self._filling = True
        table.setColumnCount(len(titles))
        table.setHorizontalHeaderLabels(titles)
        table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            size = _("missing") if row.size_mb is None else f"{row.size_mb:.1f}"
            texts = [row.name, row.method, row.error, row.licences, size, row.place]
            about = f"{row.name}: {row.model.card.description}"
            tips = [about, row.method, _error_tip(row), row.licences, "", str(row.model.folder)]
            for column, (text, tip) in enumerate(zip(texts, tips, strict=True)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(f"<p>{escape(tip)}</p>" if tip else "")  # rich text, so that long lines are broken
                table.setItem(number, column, item)
        table.resizeColumnsToContents()
        widest = WIDEST_LETTERS * qt.QFontMetrics(table.font).averageCharWidth()
        for column in range(len(titles)):
            table.setColumnWidth(column, min(table.columnWidth(column), widest))
        shown = min(max(len(rows), 1), ROWS_SHOWN)
        scroll_bar = 1
        table.setFixedHeight((1 + shown + scroll_bar) * row_pixels(table) + 2 * table.frameWidth)
        chosen = self._models.row_of(self._chosen)
        if chosen is None:
            table.clearSelection()
            table.setCurrentCell(-1, -1)
            self._chosen = ""
        else:
            table.selectRow(chosen)
        self._filling = False
        self._show_card()
        self._enable()

    def _choose(self, row: int) -> None:
        if not self._filling and 0 <= row < len(self._models.rows):
            self._chosen = self._models.rows[row].name
            self._show_card()
            self._enable()

    @property
    def _row(self) -> ModelRow | None:
        number = self._models.row_of(self._chosen)
        return None if number is None else self._models.rows[number]

    def _show_card(self) -> None:
        if self._row is not None:
            text = card_text(self._row)
        elif self._models.rows:
            text = escape(_("Choose a model to see its card."))
        else:
            text = escape(_("There is no model yet: train one, or import one."))
        problems = "".join(f"<p>{escape(_('Not usable:'))} {escape(problem)}</p>" for problem in self._models.problems)
        self._ui.cardLabel.text = text + problems

    def _enable(self) -> None:
        ui, row, idle = self._ui, self._row, self._command is None
        ui.useButton.enabled = ui.importButton.enabled = idle
        ui.exportButton.enabled = idle and row is not None and row.size_mb is not None
        ui.deleteButton.enabled = idle and row is not None and row.is_of_user

    # What the buttons do.

    def _import(self) -> None:
        kinds = _("Model cards") + f" (*{CARD_SUFFIX})"
        name = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), _("Import a model: its card"), "", kinds)
        if name:
            self.import_model(Path(name))

    def import_model(self, source: Path) -> None:
        """Take in the model of this card file or folder, verified in a process."""
        words = ["import-model", str(source)]
        self._run(self._ui.importButton, _("Verifying the model..."), REGISTRATOR, words, self._taken_in)

    def _taken_in(self, answer: dict[str, Any]) -> None:
        name = str(answer["card"]["name"])
        self._came(name, _("The model {name} is in DeepReg's method list now.").format(name=name), answer)

    def _export(self) -> None:
        row = self._row
        if row is None:
            return
        title = _("Folder for the model {name}").format(name=row.name)
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, "")
        if folder:
            words = ["export-model", row.name, "--output", folder]
            self._run(self._ui.exportButton, _("Copying the model..."), REGISTRATOR, words, self._passed_on)

    def _passed_on(self, answer: dict[str, Any]) -> None:
        words = _("Card and weights of {name} are in {folder}.")
        self._tell(words.format(name=answer["card"]["name"], folder=answer["folder"]))

    def _delete(self) -> None:
        row = self._row
        if row is None or not row.is_of_user:
            return
        question = _("Delete the model {name} from this computer? It cannot be undone.").format(name=row.name)
        if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("Delete a model")):
            return
        try:
            delete_model(row.name)
        except DeepRegError as error:
            self._tell(f"{error} {error.hint}".rstrip())
        else:
            self._tell(_("The model {name} is deleted.").format(name=row.name))
        self.read()

    def _use_run(self) -> None:
        run = self._chosen_run()
        if run is None:
            self._tell(_("Choose a run under Runs first."))
            return
        try:
            folder = writable_user_folder()
        except DeepRegError as error:
            self._tell(f"{error} {error.hint}".rstrip())
            return
        name = self._name_for(run)
        if name:
            words = ["export", str(run), "--output", str(folder), "--name", name]
            self._run(self._ui.useButton, _("Making a model of the run..."), TRAINING, words, self._made)

    def _name_for(self, run: Path) -> str:
        """That of the run's folder; "" when the user wants to keep his model of that name. A model of somebody else
        is not hidden by ours: the name gets a number."""
        name = safe_name(run.resolve().name)
        in_use = {row.name.lower(): row for row in self._models.rows}
        same = in_use.get(name.lower())
        if same is not None and same.is_of_user:
            question = _("There is a model {name} already. Replace it by this run?").format(name=same.name)
            agreed = slicer.util.confirmYesNoDisplay(question, windowTitle=_("Use the run"))
            return same.name if agreed else ""
        number = 2
        free = name
        while free.lower() in in_use:
            free, number = f"{name}-{number}", number + 1
        return free

    def _made(self, answer: dict[str, Any]) -> None:
        name = str(answer["card"]["name"])
        words = _("The run is the model {name} now; choose it as method in DeepReg.")
        self._came(name, words.format(name=name), answer)

    def _came(self, name: str, sentence: str, answer: dict[str, Any]) -> None:
        self._chosen = name
        self.read()
        self._tell(" ".join([sentence, *map(str, answer.get("warnings", []))]))

    # Work in a process.

    def _run(
        self, button, doing: str, program: str, words: Sequence[str], then: Callable[[dict[str, Any]], None]
    ) -> None:
        if self._command is not None:
            return
        try:
            install_missing(ask=True, button=button.text)
        except DeepRegError as error:
            self._tell(f"{error} {error.hint}".rstrip())
            return

        def answered(answer: dict[str, Any]) -> None:
            self._command = None
            self._enable()
            then(answer)

        self._command = Command(program, words, self.new_process(), answered, self._failed)
        self._tell(doing)
        self._enable()
        self._command.start()

    def _failed(self, error: DeepRegError, details: str) -> None:
        self._command = None
        self._tell(f"{error} {error.hint}".rstrip(), details)
        self.read()

    def _tell(self, sentence: str, details: str = "") -> None:
        label = self._ui.modelMessageLabel
        label.text, label.toolTip = breakable(sentence), f"<pre>{escape(details)}</pre>" if details else ""
        self._show_message()

    def _show_message(self) -> None:
        """Also after the section was opened: a collapsed one hides what it holds, whatever was said meanwhile."""
        self._ui.modelMessageLabel.visible = bool(self._ui.modelMessageLabel.text)


def _error_tip(row: ModelRow) -> str:
    if row.error == NOTHING:
        return _("Its card says nothing about errors in mm.")
    return _("Before and after registration: {data}.").format(data=row.data)

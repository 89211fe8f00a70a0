"""sketch"""
from __future__ import annotations
from collections.abc import Sequence
import numpy as np
from archwright.controllers.likeness import Describer
from archwright.controllers.surrogate import Surrogate, Prior, expected_improvement, normal_scores
from archwright.loop import Proposal, Trial
from archwright.space import generator, mutate, sample, neighbours

from archwright.space import trace, draw_answer
NB={};MK={}
class Guided:
    def __init__(self, space, *, seed=0, batch=1, start=10, candidates=200, parents=5, features=True, refit=5, prior=Prior(), every=None):
        self.space=space; self.seed=seed; self.batch=batch; self.start=start; self.candidates=candidates; self.parents=parents; self.features=features
        self.refit=refit; self.prior=prior
        self._told=[]; self._marks=[]; self._describer=Describer(space,features=features); self._weights=None; self._model=None; self._fit_at=0
    def ask(self, streams): return [Proposal(s,self._propose(s)) for s in streams]
    def _propose(self,stream):
        space=self.space.at(stream)
        if len(self._told)<self.start: return sample(space,(self.seed,stream))
        m=self._surrogate()
        seen={a for a,_ in self._told}
        c={}
        rng=generator((self.seed,stream,1))
        for i in range(self.candidates): c[trace(space,lambda q: draw_answer(q,rng))]=None
        best=sorted(self._told,key=lambda x:-x[1])[:self.parents]
        for a,_ in best:
            if a not in NB: NB[a]=list(neighbours(space,a,0))
            for n in NB[a]: c[n]=None
        c=[a for a in c if a not in seen]
        for a in c:
            if (a,self.features) not in MK: MK[a,self.features]=self._describer.marks(a)
        marks=[MK[a,self.features] for a in c]
        mean,dev=m.predict(self._describer.describe(marks))
        ei=expected_improvement(mean,dev,self._best)
        return c[int(np.argmax(ei))]
    def _surrogate(self):
        if self._model is None:
            y=normal_scores([r for _,r in self._told]); self._best=y.max()
            fit = len(y)>=self._fit_at
            self._model=Surrogate(self._describer.describe(self._marks),y,self._describer.group_of_column,weights=self._weights,fit=fit,prior=self.prior)
            if fit: self._weights=self._model.weights; self._fit_at=len(y)+self.refit
        return self._model
    def tell(self,trials):
        for t in trials:
            self._told.append((t.architecture,t.reward)); m=self._describer.marks(t.architecture); self._marks.append(m); self._describer.learn([m])
        self._model=None
        return False
    def state_dict(self): return {}
    def load_state_dict(self,s): pass
